import { RuntimeError } from './catalogue.ts';

/** `metav1.Status`: the body of a response that is an error. */
export interface StatusBody {
  kind?: string;
  code?: number;
  reason?: string;
  message?: string;
  details?: { retryAfterSeconds?: number };
}

/** A response of the API server that is an error. */
export class ApiError extends RuntimeError {
  override name = 'ApiError';
  /** the HTTP status */
  readonly status: number;
  /** the reason that the server gives, such as `Conflict` */
  readonly reason: string;
  /** the wait that the server asks for */
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

/** The object does not exist. */
export const isNotFound = (error: unknown): boolean => hasStatus(error, 404);

export const isForbidden = (error: unknown): boolean => hasStatus(error, 403);

/** The object has changed since it was read, or exists already. */
export const isConflict = (error: unknown): boolean => hasStatus(error, 409);

/** The server refuses the request itself: a right is missing, or the object is not valid. The same request fails again. */
export const isRefusal = (error: unknown): boolean => hasStatus(error, 400, 403, 405, 413, 415, 422);

/** The server no longer has the resource version: only a new list helps. */
export const isGone = (error: unknown): boolean => hasStatus(error, 410);

/** The wait that the server asks for, in milliseconds; 0 where it asks for none. */
export const retryAfterOf = (error: unknown): number => (error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0);

/** A watch has brought no byte for longer than the time between two bookmarks: the connection is dead but not closed. */
export class SilenceError extends RuntimeError {
  override name = 'SilenceError';

  constructor(silenceMs: number) {
    super('ERR_KUBERNETES_WATCH_SILENT', `the watch brought no byte for ${silenceMs} ms`);
  }
}
