import type { IncomingMessage } from 'node:http';

const absoluteForm = /^https?:\/\/([^/?#@]+)($|[/?].*)/is;

/** No target has these, and a client that sends one expects each server to read it in its own way. */
// eslint-disable-next-line no-control-regex
const malformed = /[\u0000-\u0020\u007f#]/;

/**
 * Brings the target of a request into origin form, a path with a query (RFC 9112, 3.2): in absolute form it names the host,
 * whatever `Host` says. `*` stays, for OPTIONS alone.
 * @returns false if the target is none of these
 */
export function normaliseTarget(request: IncomingMessage): boolean {
  const url = request.url!;
  if (malformed.test(url)) return false;
  if (url.charCodeAt(0) === 0x2f) return true;
  if (url === '*') return request.method === 'OPTIONS';
  const [, host, path] = absoluteForm.exec(url) ?? [];
  if (host === undefined || path === undefined) return false;
  request.headers.host = host;
  request.url = path.startsWith('/') ? path : `/${path}`;
  return true;
}
