import type { IncomingMessage, ServerResponse } from 'node:http';
import { bodyLimit, Problem } from '#platform/http';
import type { BodyBudget } from './body-budget.ts';

/** The body of the request to the upstream, whole, or nothing. */
export type RequestBody = null | Buffer;

/** A body up to this size that arrives at once is not counted: it leaves at once, and the calls in flight are limited. */
const uncountedBytes = 16 * 1024;
const firstCapacity = 4 * 1024;

export const tooLarge = () => new Problem(413, { detail: `The body is larger than ${bodyLimit} bytes` });

/** The declared length of the body: 0 without one, undefined for a chunked body. */
export function declaredLength({ headers }: IncomingMessage): number | undefined {
  if (headers['transfer-encoding'] !== undefined) return undefined;
  const length = headers['content-length'];
  return length === undefined ? 0 : Number(length);
}

export interface BodyReader {
  budget: BodyBudget;
  /** who sends the body */
  client: () => string;
  /** gets the whole body; not called if the client leaves before its end */
  ready: (body: RequestBody) => void;
  /** gets the reason why the body is not read */
  refuse: (problem: Problem) => void;
}

/**
 * Reads the whole body before the gateway calls the upstream: a sender that is slow, or leaves, holds no permit. Its memory
 * is counted from the first part until the answer is sent.
 * @param length the declared length in bytes, at most `bodyLimit`; undefined for a chunked body
 */
export function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  length: number | undefined,
  reader: BodyReader,
): void {
  if (length === 0) {
    reader.ready(null);
    return;
  }
  let whole: Buffer | undefined;
  let parts: CountedBody | undefined;
  let isRefused = false;

  function add(chunk: Buffer): Problem | undefined {
    if (parts === undefined) {
      const { budget, client } = reader;
      const counted = new CountedBody(budget, client(), length ?? bodyLimit);
      response.once('close', () => counted.release());
      parts = counted;
    }
    return parts.add(chunk);
  }

  request.on('data', (chunk: Buffer) => {
    if (isRefused) return;
    if (parts === undefined && chunk.length === length && length <= uncountedBytes) {
      whole = chunk;
      return;
    }
    const refused = add(chunk);
    if (refused === undefined) return;
    isRefused = true;
    parts!.release();
    reader.refuse(refused);
  });
  request.once('end', () => {
    if (!isRefused) reader.ready(whole ?? parts?.bytes ?? Buffer.alloc(0));
  });
}

/** A body that arrives in parts. They are copied together: a part keeps more memory than its bytes. */
class CountedBody {
  readonly #budget: BodyBudget;
  readonly #client: string;
  readonly #limit: number;
  #buffer = Buffer.alloc(0);
  #length = 0;
  #isReleased = false;

  constructor(budget: BodyBudget, client: string, limit: number) {
    this.#budget = budget;
    this.#client = client;
    this.#limit = limit;
  }

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  add(chunk: Buffer): Problem | undefined {
    const length = this.#length + chunk.length;
    if (length > this.#limit) return tooLarge();
    if (length > this.#buffer.length) {
      const capacity = Math.min(this.#limit, Math.max(firstCapacity, 2 * this.#buffer.length, length));
      const refused = this.#budget.take(this.#client, capacity - this.#buffer.length);
      if (refused) return refused;
      const grown = Buffer.allocUnsafeSlow(capacity);
      this.#buffer.copy(grown, 0, 0, this.#length);
      this.#buffer = grown;
    }
    chunk.copy(this.#buffer, this.#length);
    this.#length = length;
    return undefined;
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#budget.give(this.#client, this.#buffer.length);
    this.#buffer = Buffer.alloc(0);
    this.#length = 0;
  }
}
