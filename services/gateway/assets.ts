import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.json': 'application/json; charset=utf-8',
};

/** Browsers always ask again, and get 304 while the file is unchanged. */
export const revalidate = 'no-cache';
/** For addresses that contain a hash of their content. */
export const immutable = 'public, max-age=31536000, immutable';

/** A file in memory, compressed once at its first use. */
export class Asset {
  readonly type: string;
  readonly etag: string;
  readonly #content: Buffer;
  #gzip: Buffer | undefined;
  #brotli: Buffer | undefined;

  constructor(content: Buffer | string, type: string) {
    this.#content = Buffer.from(content);
    this.type = type;
    this.etag = `"${createHash('sha256').update(this.#content).digest('base64url').slice(0, 22)}"`;
  }

  /** Answers a GET or HEAD; `headers` are added to its own. */
  send(request: IncomingMessage, response: ServerResponse, cacheControl: string, headers: Record<string, string> = {}) {
    const common = {
      'Cache-Control': cacheControl,
      ETag: this.etag,
      Vary: 'Accept-Encoding',
      'X-Content-Type-Options': 'nosniff',
      ...headers,
    };
    if (request.headers['if-none-match']?.includes(this.etag)) {
      response.writeHead(304, common).end();
      return;
    }
    const { encoding, body } = this.#encoded(request.headers['accept-encoding'] ?? '');
    response.writeHead(200, {
      'Content-Type': this.type,
      'Content-Length': body.length,
      ...(encoding && { 'Content-Encoding': encoding }),
      ...common,
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  #encoded(accepted: string): { encoding?: string; body: Buffer } {
    if (/\bbr\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/.test(accepted)) {
      return { encoding: 'br', body: (this.#brotli ??= brotliCompressSync(this.#content)) };
    }
    if (/\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/.test(accepted)) {
      return { encoding: 'gzip', body: (this.#gzip ??= gzipSync(this.#content)) };
    }
    return { body: this.#content };
  }
}

export interface Site {
  /** pages by name, as `index.html` */
  pages: ReadonlyMap<string, Asset>;
  /** the assets of the pages, by name below `/assets/<hash>/` */
  assets: ReadonlyMap<string, Asset>;
  /** changes with any asset; part of their address, so that browsers may cache them for ever */
  hash: string;
}

/** Reads the web pages: `*.html` in a folder, and their assets below `assets/`. */
export function loadSite(dir: URL): Site {
  const assets = new Map<string, Asset>();
  const digest = createHash('sha256');
  const folder = new URL('assets/', dir);
  for (const name of readdirSync(folder).toSorted()) {
    const type = types[extname(name)];
    if (type === undefined) continue;
    const content = readFileSync(new URL(name, folder));
    digest.update(name).update(content);
    assets.set(name, new Asset(content, type));
  }
  const hash = digest.digest('hex').slice(0, 12);
  const pages = new Map<string, Asset>();
  for (const name of readdirSync(dir).filter((file) => file.endsWith('.html'))) {
    const html = readFileSync(new URL(name, dir), 'utf8').replaceAll('"/assets/', `"/assets/${hash}/`);
    pages.set(name, new Asset(html, types['.html']!));
  }
  return { pages, assets, hash };
}
