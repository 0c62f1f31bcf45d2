import { RuntimeError } from './catalogue.ts';

/** The `Status` that the API answers instead of an object. */
export interface StatusBody {
  kind?: string;
  code?: number;
  reason?: string;
  message?: string;
  details?: { retryAfterSeconds?: number };
}

/** An answer of the API server that is no success. */
export class ApiError extends RuntimeError {
  override name = 'ApiError';
  /** the HTTP status */
  readonly status: number;
  /** the server's word for it, such as `Conflict` */
  readonly reason: string;
  /** how long the server wants to be left alone, in milliseconds */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, body: StatusBody = {}, retryAfterMs?: number) {
    super('ERR_KUBERNETES_ANSWER', `${status} ${body.reason ?? ''}: ${body.message ?? 'no message'}`);
    this.status = status;
    this.reason = body.reason ?? '';
    const seconds = body.details?.retryAfterSeconds;
    this.retryAfterMs = retryAfterMs ?? (seconds === undefined ? undefined : seconds * 1000);
  }
}

const hasStatus = (error: unknown, ...codes: number[]) => error instanceof ApiError && codes.includes(error.status);

/** There is no such object. */
export const isNotFound = (error: unknown): boolean => hasStatus(error, 404);

/** The object has changed since it was read, or exists already. */
export const isConflict = (error: unknown): boolean => hasStatus(error, 409);

/** The resource version is older than what the server remembers: only a new list helps. */
export const isGone = (error: unknown): boolean => hasStatus(error, 410);

/** The time a server asked to be left alone, in milliseconds; 0 where it did not. */
export const retryAfterOf = (error: unknown): number => (error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0);

/** A watch that has been silent for longer than bookmarks allow: the connection is dead though nobody closed it. */
export class SilenceError extends RuntimeError {
  override name = 'SilenceError';

  constructor(silenceMs: number) {
    super('ERR_KUBERNETES_WATCH_SILENT', `no byte for ${silenceMs} ms`);
  }
}
