import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Health } from '#platform/health';
import { isLoopback, ownNamesOnly } from '#platform/local-names';
import type { NameCheck } from '#platform/local-names';
import { sendProblem } from './answer.ts';
import { drainable } from './drain.ts';
import type { Draining } from './drain.ts';
import { Problem } from './problem.ts';
import { normaliseTarget } from './target.ts';

/** The largest body that is read, in bytes. */
export const bodyLimit = 1024 * 1024;

/** Limits for a client with a slow or an endless request; times in milliseconds, sizes in bytes. */
const defaults = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  /** longer than load balancers keep an idle connection, so that they close first */
  keepAliveTimeout: 75_000,
  /** more than the gateway takes, which adds headers of its own */
  maxHeaderSize: 32 * 1024,
  connectionsCheckingInterval: 1_000,
  maxConnections: 10_000,
};

export type ServerLimits = typeof defaults;

const everyMethod = 'GET, HEAD, POST, PUT, DELETE, OPTIONS';

/**
 * An HTTP server that answers each malformed request with a problem, and that drains. Its listener gets a target in origin
 * form. Where it listens on a loopback address, it answers only its own names (`ownNamesOnly`).
 */
export function createHttpServer(
  listener: RequestListener,
  health: Health,
  limits: Partial<ServerLimits> = {},
): Draining {
  const { maxConnections, ...options } = { ...defaults, ...limits };
  let checkNames: NameCheck | undefined;

  const serve: RequestListener = (request, response) => {
    // a client that keeps its connection would delay the drain
    if (health.draining) response.setHeader('Connection', 'close');
    if (!normaliseTarget(request)) {
      sendProblem(new Problem(400, { detail: 'The target of the request is malformed' }), request, response);
      return;
    }
    const foreign = checkNames?.(request.headers);
    const refused = foreign === undefined ? unknownCoding(request) : new Problem(403, { detail: foreign });
    if (refused) sendProblem(refused, request, response);
    else if (request.url === '*') response.writeHead(204, { Allow: everyMethod }).end();
    else listener(request, response);
  };
  const server: Server = createServer(options, serve);
  server.maxConnections = maxConnections;
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    // do not request a body that will be refused for its length
    if (Number(request.headers['content-length'] ?? 0) <= bodyLimit) response.writeContinue();
    serve(request, response);
  });
  server.on('clientError', refuseMalformed);
  const draining = drainable(server);
  return {
    listen(port, host, trustedHosts) {
      if (isLoopback(host)) checkNames = ownNamesOnly(trustedHosts);
      return draining.listen(port, host);
    },
    close: () => draining.close(),
  };
}

/**
 * A body in a coding that nobody here decodes would be taken for something else. Codings without `chunked` at their end are
 * left to the parser, which refuses them after this.
 */
function unknownCoding({ headers }: IncomingMessage): Problem | undefined {
  const coding = headers['transfer-encoding'];
  if (coding === undefined || !/,[ \t]*chunked$/i.test(coding)) return undefined;
  return new Problem(501, { detail: 'The only transfer coding is chunked' });
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
