import assert from 'node:assert/strict';

/** A complete response. */
export interface Answer<T = unknown> {
  status: number;
  headers: Headers;
  body: T;
}

/** Calls one server of the platform. */
export interface Client {
  base: string;
  call<T = unknown>(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer<T>>;
}

/** A client of the server at `base`. Text and buffers are sent as they are, other bodies as JSON. */
export function clientOf(base: string): Client {
  return {
    base,
    async call<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
      const raw = typeof body === 'string' || body === undefined;
      const response = await fetch(`${base}${path}`, {
        method,
        headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
        ...(body !== undefined && { body: raw ? body : JSON.stringify(body) }),
        signal: AbortSignal.timeout(15_000),
      });
      const text = await response.text();
      const isJson = /json/.test(response.headers.get('content-type') ?? '');
      return { status: response.status, headers: response.headers, body: (isJson ? JSON.parse(text) : text) as T };
    },
  };
}

let users = 0;

/** The body of a user that no other test has. */
export function newUser(prefix = 'user') {
  const username = `${prefix}-${process.pid}-${Date.now().toString(36)}-${(users += 1)}`;
  return { username, email: `${username}@example.com`, firstName: 'Ada', lastName: 'Lovelace' };
}

/** The body of an order of two pieces at that price. */
export function newOrder(userId: number, unitPrice = 19.99) {
  const totalPrice = Math.round(unitPrice * 200) / 100;
  return {
    userId,
    items: [{ productId: 101, productName: 'Water wheel', quantity: 2, unitPrice, totalPrice }],
    shippingAddress: '1 Mill Lane',
    notes: null,
  };
}

/** Asserts a problem+json response and returns the fields that it names. */
export function assertProblem(answer: Answer, status: number, what = ''): string[] {
  const problem = answer.body as { type?: string; title?: string; status?: number; detail?: string; instance?: string };
  const seen = `${what} answered ${answer.status} ${JSON.stringify(answer.body)}`;
  assert.equal(answer.status, status, seen);
  assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/, seen);
  assert.equal(problem.status, status, seen);
  for (const member of ['type', 'title', 'detail', 'instance'] as const)
    assert.equal(typeof problem[member], 'string', seen);
  return ((answer.body as { errors?: { field: string }[] }).errors ?? []).map(({ field }) => field);
}
