/** An unsuccessful response, or none; the message is for the user. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {{status?: number, errors?: {field: string, message: string}[], traceId?: string, retryAfter?: number, report?: unknown}} [more]
   */
  constructor(message, { status = 0, errors = [], traceId, retryAfter, report } = {}) {
    super(message);
    this.status = status;
    this.errors = errors;
    this.traceId = traceId;
    this.retryAfter = retryAfter;
    /** the whole body, for responses with more than a problem */
    this.report = report;
  }
}

const tokenKey = 'millrace-token';

export const token = {
  get: () => sessionStorage.getItem(tokenKey),
  /** @param {string} value */
  set: (value) => sessionStorage.setItem(tokenKey, value),
};

/** Called when the API needs a token, or another one. */
export const onUnauthorized = { call: () => {} };

/**
 * Sends a request to the gateway.
 *
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<Response>} a successful response
 * @throws {ApiError}
 */
export async function request(path, init = {}) {
  const headers = new Headers(init.headers);
  const bearer = token.get();
  if (bearer) headers.set('authorization', `Bearer ${bearer}`);
  let response;
  try {
    response = await fetch(path, { ...init, headers });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError('The gateway cannot be reached');
  }
  if (response.ok) return response;
  if (response.status === 401) onUnauthorized.call();
  throw await errorOf(response);
}

/** @param {Response} response */
async function errorOf(response) {
  const problem = await response.json().catch(() => ({}));
  return new ApiError(problem.detail ?? `The status of the response is ${response.status}`, {
    status: response.status,
    errors: problem.errors ?? [],
    traceId: response.headers.get('x-trace-id') ?? undefined,
    retryAfter: Number(response.headers.get('retry-after')) || undefined,
    report: problem,
  });
}

/**
 * @param {string} path
 * @param {AbortSignal} [signal]
 */
export async function getJson(path, signal = AbortSignal.timeout(10_000)) {
  return (await request(path, { signal })).json();
}

/**
 * Sends a command.
 *
 * @param {string} method
 * @param {string} path
 * @param {unknown} body
 * @param {Record<string, string>} [headers]
 */
export async function send(method, path, body, headers = {}) {
  const startedAt = performance.now();
  const response = await request(path, {
    method,
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(15_000),
  });
  return {
    body: await response.json(),
    traceId: response.headers.get('x-trace-id') ?? undefined,
    ms: performance.now() - startedAt,
  };
}

/** A key that makes a repeated command return its first answer. */
export function idempotencyKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
