import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { bodyLimit, drainable, Problem } from '#platform/http';
import type { Draining } from '#platform/http';
import type { Health } from '#platform/health';

/** Limits for a client with a slow or an endless request. */
const limits = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  /** longer than load balancers keep an idle connection, so that they close first */
  keepAliveTimeout: 75_000,
  maxHeaderSize: 16 * 1024,
  connectionsCheckingInterval: 1_000,
};
const maxConnections = 10_000;

/** The HTTP server that faces the clients. */
export function createEdgeServer(
  listener: RequestListener,
  health: Health,
  overrides: Partial<typeof limits> = {},
): Draining {
  const serve: RequestListener = (request, response) => {
    // a client that keeps its connection would delay the drain
    if (health.draining) response.setHeader('Connection', 'close');
    listener(request, response);
  };
  const server: Server = createServer({ ...limits, ...overrides }, serve);
  server.maxConnections = maxConnections;
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    // do not request a body that the gateway will refuse for its length
    if (Number(request.headers['content-length'] ?? 0) <= bodyLimit) response.writeContinue();
    serve(request, response);
  });
  server.on('clientError', refuseMalformed);
  return drainable(server);
}

const reasons: Record<string, { status: number; line: string; detail: string }> = {
  HPE_HEADER_OVERFLOW: { status: 431, line: 'Request Header Fields Too Large', detail: 'The headers are too large' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, line: 'Request Timeout', detail: 'The request did not arrive in time' },
};

/** Answers a malformed HTTP/1.1 request (such as one with both a length and chunks) and closes the connection. */
function refuseMalformed(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable || (socket as Socket).bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const malformed = { status: 400, line: 'Bad Request', detail: 'The request is malformed HTTP/1.1' };
  const { status, line, detail } = reasons[error.code ?? ''] ?? malformed;
  const body = JSON.stringify(new Problem(status, { detail }).toJSON(''));
  const head = [
    `HTTP/1.1 ${status} ${line}`,
    'Connection: close',
    'Content-Type: application/problem+json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
