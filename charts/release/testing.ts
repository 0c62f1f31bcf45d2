import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Registry {
  /** host and port */
  address: string;
  /** the tags, as `repository:tag` */
  tags(): string[];
  close(): Promise<void>;
}

const digestOf = (content: Buffer) => `sha256:${createHash('sha256').update(content).digest('hex')}`;

/** A registry in memory, of the part of the OCI distribution specification that pushing and pulling of charts needs. */
export async function startRegistry(): Promise<Registry> {
  const blobs = new Map<string, Buffer>();
  const manifests = new Map<string, { content: Buffer; type: string }>();
  const server = createServer((request, response) => {
    void answer(request).then(({ status, headers = {}, content }) => {
      response.writeHead(status, { ...headers, 'content-length': content?.length ?? 0 });
      response.end(request.method === 'HEAD' ? undefined : content);
    });
  });

  async function answer(request: IncomingMessage): Promise<Answer> {
    const { pathname, searchParams } = new URL(request.url!, 'http://registry');
    const [, repository, kind, reference] =
      /^\/v2\/(.+)\/(blobs|manifests|blobs\/uploads)\/([^/]*)$/.exec(pathname) ?? [];
    if (kind === undefined) return { status: pathname === '/v2/' ? 200 : 404 };
    const content = Buffer.concat(await Array.fromAsync(request));
    if (request.method === 'POST') return { status: 202, headers: { location: `/v2/${repository}/blobs/uploads/1` } };
    if (request.method === 'PUT' && kind === 'manifests') {
      const type = request.headers['content-type'] ?? '';
      for (const name of [reference, digestOf(content)]) manifests.set(`${repository}:${name}`, { content, type });
      return { status: 201, headers: { 'docker-content-digest': digestOf(content) } };
    }
    if (request.method === 'PUT') {
      blobs.set(searchParams.get('digest')!, content);
      return { status: 201 };
    }
    if (kind === 'blobs') {
      const blob = blobs.get(reference!);
      return blob ? { status: 200, content: blob } : { status: 404 };
    }
    const manifest = manifests.get(`${repository}:${reference}`);
    if (!manifest) return { status: 404 };
    const headers = { 'content-type': manifest.type, 'docker-content-digest': digestOf(manifest.content) };
    return { status: 200, headers, content: manifest.content };
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    tags: () => [...manifests.keys()].filter((name) => !name.includes(':sha256:')),
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

interface Answer {
  status: number;
  headers?: Record<string, string>;
  content?: Buffer;
}
