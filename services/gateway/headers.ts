import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { subjectHeader } from '#platform/http';

/** Headers of one connection only (RFC 9110, 7.6.1), and those that the gateway writes itself. */
const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

const rewritten = new Set([
  ...hopByHop,
  'host',
  'content-length',
  'expect',
  'forwarded',
  'traceparent',
  subjectHeader,
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-prefix',
]);

export interface Forwarding {
  /** whether a trusted proxy is before the gateway, so that its X-Forwarded headers hold */
  trustProxy: boolean;
  /** the public prefix that the gateway removes, or nothing */
  prefix: string;
  /** whose verified token the request has; undefined without authentication */
  subject?: string | undefined;
}

/**
 * The headers of the proxied request, flat, without its body's length.
 * @throws nothing: Node's parser refuses malformed names and values
 */
export function requestHeaders(request: IncomingMessage, forwarding: Forwarding, traceparent: string): string[] {
  const { rawHeaders, headers, socket } = request;
  const named = connectionOptions(headers.connection);
  const result: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    if (!rewritten.has(name) && !named?.has(name)) result.push(name, rawHeaders[i + 1]!);
  }
  const peer = socket.remoteAddress ?? 'unknown';
  const trusted = forwarding.trustProxy;
  const chain = trusted ? headers['x-forwarded-for'] : undefined;
  result.push('x-forwarded-for', chain === undefined ? peer : `${first(chain)}, ${peer}`);
  result.push('x-forwarded-host', first((trusted && headers['x-forwarded-host']) || headers.host || ''));
  result.push('x-forwarded-proto', first((trusted && headers['x-forwarded-proto']) || 'http'));
  if (forwarding.prefix !== '') result.push('x-forwarded-prefix', forwarding.prefix);
  if (forwarding.subject !== undefined) result.push(subjectHeader, encodeURIComponent(forwarding.subject));
  result.push('traceparent', traceparent);
  return result;
}

/**
 * Who the client is for its limits: the address of the peer, or, behind a trusted proxy, that of the peer of this proxy. A port
 * does not matter, and a network of IPv6 addresses (/64), which one client has, counts as one address.
 */
export function clientAddress(request: IncomingMessage, trustProxy: boolean): string {
  const peer = request.socket.remoteAddress ?? 'unknown';
  const chain = trustProxy ? request.headers['x-forwarded-for'] : undefined;
  const address = chain === undefined ? peer : first(chain).split(',').at(-1)!.trim() || peer;
  const [, host = address] = /^\[(.*)\](?::\d+)?$|^/.exec(address)!;
  const v4 = /^(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)(?::\d+)?$/i.exec(host)?.[1];
  return v4 ?? (host.includes(':') ? networkOf(host) : host);
}

/** The first four groups of an IPv6 address. */
function networkOf(address: string): string {
  const [head = '', tail] = address.toLowerCase().split('%')[0]!.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  const groups = [...before, ...Array<string>(zeros).fill('0'), ...after].slice(0, 4);
  return `${groups.map((group) => group.replace(/^0+(?=.)/, '')).join(':')}::/64`;
}

/** The headers of the answer, flat, with addresses of the gateway. */
export function responseHeaders(headers: IncomingHttpHeaders, prefix: string, origin: string): string[] {
  const named = connectionOptions(headers.connection);
  const result: string[] = [];
  for (const name in headers) {
    if (hopByHop.has(name) || named?.has(name)) continue;
    const value = headers[name]!;
    if (typeof value !== 'string') {
      for (const one of value) result.push(name, name === 'link' ? publicLinks(one, prefix, origin) : one);
    } else if (name === 'location' || name === 'content-location') {
      result.push(name, publicAddress(value, prefix, origin));
    } else if (name === 'link') {
      result.push(name, publicLinks(value, prefix, origin));
    } else {
      result.push(name, value);
    }
  }
  return result;
}

/** A service's own address (`/orders/5`, `http://orders:8082/orders/5`) as the gateway's; other addresses do not change. */
export function publicAddress(address: string, prefix: string, origin: string): string {
  const path = address.startsWith(`${origin}/`) ? address.slice(origin.length) : address;
  return path.startsWith('/') && !path.startsWith('//') ? prefix + path : path;
}

function publicLinks(value: string, prefix: string, origin: string): string {
  return value.replaceAll(/<([^>]*)>/g, (_, address: string) => `<${publicAddress(address, prefix, origin)}>`);
}

/** The headers that `Connection` limits to this connection. */
function connectionOptions(value: string | undefined): Set<string> | undefined {
  if (value === undefined || value === 'keep-alive' || value === 'close') return undefined;
  return new Set(value.split(',').map((option) => option.trim().toLowerCase()));
}

/** Node joins repeated headers of most names; the types allow a list. */
function first(value: string | string[]): string {
  return typeof value === 'string' ? value : value.join(', ');
}
