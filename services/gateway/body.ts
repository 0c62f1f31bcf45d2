import type { IncomingMessage } from 'node:http';
import { Transform } from 'node:stream';
import { bodyLimit, Problem } from '#platform/http';

/** The gateway reads a body up to this size before it calls the upstream, so that a slow sender holds no permit. */
const heldBytes = 64 * 1024;

/**
 * The body of the request to the upstream: nothing, a whole body, or a stream that fails with a `Problem` if the body
 * is larger than allowed.
 */
export type RequestBody = null | Buffer | Transform;

export const tooLarge = () => new Problem(413, { detail: `The body is larger than ${bodyLimit} bytes` });

/** The declared length of the body: 0 without one, undefined for a chunked body. */
export function declaredLength({ headers }: IncomingMessage): number | undefined {
  if (headers['transfer-encoding'] !== undefined) return undefined;
  const length = headers['content-length'];
  return length === undefined ? 0 : Number(length);
}

/**
 * Passes the body to `ready` when the gateway may call the upstream. If the client leaves in the middle of a small body,
 * `ready` is not called.
 *
 * @param length the declared length in bytes, at most `bodyLimit`; undefined for a chunked body
 */
export function readBody(
  request: IncomingMessage,
  length: number | undefined,
  ready: (body: RequestBody) => void,
): void {
  if (length === 0) ready(null);
  else if (length === undefined || length > heldBytes) ready(request.pipe(limited()));
  else hold(request, length, ready);
}

function hold(request: IncomingMessage, length: number, ready: (body: Buffer) => void): void {
  let first: Buffer | undefined;
  let rest: Buffer[] | undefined;
  request.on('data', (chunk: Buffer) => {
    if (first === undefined) first = chunk;
    else (rest ??= [first]).push(chunk);
  });
  request.once('end', () => ready(rest ? Buffer.concat(rest, length) : (first ?? Buffer.alloc(0))));
}

function limited(): Transform {
  let left = bodyLimit;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      left -= chunk.length;
      if (left < 0) done(tooLarge());
      else done(null, chunk);
    },
  });
}
