import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Problem } from './problem.ts';

/** The time and the bytes for which the rest of a body is read after an early answer. */
const lingerMs = 1_000;
const lingerBytes = 8 * 1024 * 1024;

/**
 * Answers with `application/problem+json`. After a part of the answer it cuts the connection instead, so that the client sees
 * that the answer is incomplete.
 * @param instance the requested path; default: that of the request
 */
export function sendProblem(
  problem: Problem,
  request: IncomingMessage,
  response: ServerResponse,
  instance = pathOf(request),
): void {
  if (response.destroyed) return;
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const payload = Buffer.from(JSON.stringify(problem.toJSON(instance)));
  const headers: string[] = [
    ...Object.entries(problem.headers).flat(),
    'Content-Type',
    'application/problem+json; charset=utf-8',
    'Content-Length',
    String(payload.length),
    'Cache-Control',
    'no-store', // a cache may keep some statuses otherwise, as 404 (RFC 9111, 4.2.2)
  ];
  const unread = !request.complete;
  // the server would read the rest of the body as the next request
  if (unread) headers.push('Connection', 'close');
  response.writeHead(problem.status, headers);
  if (unread) linger(request, response, payload);
  else response.end(payload);
}

/**
 * Sends the whole answer and keeps reading for a while before it closes: a connection that closes with unread data is
 * reset, and the reset can overtake the answer on its way to a client that is still sending.
 */
function linger(request: IncomingMessage, response: ServerResponse, payload: Buffer): void {
  response.write(payload);
  let left = lingerBytes;
  const timer = setTimeout(finish, lingerMs);
  function finish(): void {
    clearTimeout(timer);
    response.end();
  }
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) finish();
  });
  request.once('end', finish);
  response.once('close', finish);
  request.resume();
}

function pathOf(request: IncomingMessage): string {
  const url = request.url ?? '/';
  const end = url.indexOf('?');
  return end === -1 ? url : url.slice(0, end);
}
