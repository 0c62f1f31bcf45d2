import { setTimeout as sleep } from 'node:timers/promises';

import type { Ledger, Request } from './ledger.ts';
import { outcomeOf } from './ledger.ts';
import { randomOf, type Random } from '#test/random.ts';

const clients = 4;
/** Longer than the gateway waits for a service. */
const answerMs = 15_000;
/** A client gives a request up when it has tried for this long. */
const patienceMs = 60_000;
const longestRetryMs = 2_000;

const nextStatuses: Record<string, string[]> = {
  PENDING: ['CONFIRMED', 'CONFIRMED', 'CANCELLED'],
  CONFIRMED: ['SHIPPED'],
  SHIPPED: ['DELIVERED'],
};

interface Answer {
  status: number | undefined;
  retryAfterMs: number;
  body: Record<string, unknown>;
}

interface OwnUser {
  id: number;
  username: string;
}

interface OwnOrder {
  id: string;
  version: number;
  status: string;
}

/** What a client knows, from one start of the load to the next. */
interface Client {
  random: Random;
  users: OwnUser[];
  orders: OwnOrder[];
}

/** Some clients that register, order, change and delete through the gateway until they are stopped; they can be started again. */
export class Workload {
  readonly #gateway: string;
  readonly #seed: number;
  readonly #clients: Client[];
  readonly #prefix: string;
  readonly #ledger: Ledger;
  #stopping = new AbortController();
  readonly #abandoned: AbortSignal;
  #running: Promise<unknown> = Promise.resolve();
  #marks = 0;

  /**
   * @param prefix of all names and texts, which another run of the seed on the same platform must not have
   * @param abandoned ends the requests, too
   */
  constructor(
    gateway: string,
    { seed, prefix }: { seed: number; prefix: string },
    ledger: Ledger,
    abandoned: AbortSignal,
  ) {
    this.#abandoned = abandoned;
    this.#gateway = gateway;
    this.#seed = seed;
    this.#clients = Array.from({ length: clients }, (_, i) => ({
      random: randomOf(seed * 31 + i),
      users: [],
      orders: [],
    }));
    this.#prefix = prefix;
    this.#ledger = ledger;
  }

  start(): void {
    this.#stopping = new AbortController();
    this.#running = Promise.all(this.#clients.map((client) => this.#work(client)));
  }

  /** Lets the clients finish what they have begun. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #work({ random, users, orders }: Client): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const draw = random.next();
      if (users.length === 0 || draw < 0.06) await this.#register(users);
      else if (draw < 0.12) await this.#rename(random.pick(users));
      else if (orders.length === 0 || draw < 0.6) await this.#place(random, random.pick(users), orders);
      else await this.#change(random, orders);
      await sleep(random.int(50, 350), undefined, { signal }).catch(() => undefined);
    }
  }

  #mark(): string {
    return `${this.#prefix}c${this.#seed}n${(this.#marks += 1)}`;
  }

  async #register(users: OwnUser[]): Promise<void> {
    const username = this.#mark();
    const body = await this.#perform(
      this.#ledger.open({ kind: 'register', mark: username, outcomes: [] }),
      'POST',
      '/users',
      { ...person, username, email: `${username}@example.com` },
    );
    if (typeof body?.['id'] === 'number') users.push({ id: body['id'], username });
  }

  async #rename({ id, username }: OwnUser): Promise<void> {
    const lastName = this.#mark();
    const body = { ...person, username, email: `${username}@example.com`, lastName };
    await this.#perform(
      this.#ledger.open({ kind: 'rename', mark: lastName, outcomes: [] }),
      'PUT',
      `/users/${id}`,
      body,
    );
  }

  async #place(random: Random, { id: userId }: OwnUser, orders: OwnOrder[]): Promise<void> {
    const notes = this.#mark();
    const [quantity, cents] = [random.int(1, 4), random.int(199, 49_999)];
    const item = { productId: random.int(1, 99), productName: 'A thing', quantity, unitPrice: cents / 100 };
    const order = { userId, notes, items: [{ ...item, totalPrice: (quantity * cents) / 100 }] };
    const key = random.chance(0.5) ? `key-${notes}` : undefined;
    const request = this.#ledger.open({ kind: 'place', mark: notes, key, outcomes: [] });
    const body = await this.#perform(request, 'POST', '/orders', order, key ? { 'idempotency-key': key } : {});
    if (typeof body?.['id'] === 'number') orders.push({ id: String(body['id']), version: 1, status: 'PENDING' });
  }

  /** Changes or deletes an order. One whose outcome is unknown, or that was refused, is left alone from then on. */
  async #change(random: Random, orders: OwnOrder[]): Promise<void> {
    const at = random.int(0, orders.length - 1);
    const [order] = orders.splice(at, 1);
    const { id: orderId, version, status } = order!;
    const statuses = nextStatuses[status] ?? [];
    if (statuses.length === 0 || random.chance(0.1)) {
      const request = this.#ledger.open({ kind: 'delete', orderId, version: version + 1, outcomes: [] });
      await this.#perform(request, 'DELETE', `/orders/${orderId}`);
      return;
    }
    const next = { orderId, version: version + 1, status: random.pick(statuses) };
    const request = this.#ledger.open({ kind: 'step', ...next, outcomes: [] });
    const body = await this.#perform(
      request,
      'PUT',
      `/orders/${orderId}/status`,
      { status: next.status },
      { 'if-match': `"${version}"` },
    );
    if (body) orders.push({ id: orderId, version: next.version, status: next.status });
  }

  /**
   * Sends a request as a careful client does: it repeats one that was answered 503, and with an `Idempotency-Key` also one
   * whose outcome it does not know. @returns the body of the answer that says that it was done
   */
  async #perform(
    request: Request,
    method: string,
    path: string,
    body?: object,
    headers: Record<string, string> = {},
  ): Promise<Record<string, unknown> | undefined> {
    const since = performance.now();
    for (;;) {
      const answer = await this.#send(method, path, body, headers);
      const outcome = answer.status === 0 ? 'refused' : outcomeOf(answer.status);
      request.outcomes.push(outcome);
      if (outcome === 'done') return answer.body;
      const isFinal = outcome === 'refused' && answer.status !== 503 && answer.status !== 0;
      if (isFinal || (outcome === 'unknown' && request.key === undefined)) return undefined;
      if (performance.now() - since > patienceMs || this.#abandoned.aborted) return undefined;
      await sleep(Math.min(answer.retryAfterMs, longestRetryMs));
    }
  }

  /** The status is 0 where no connection was made, and undefined where one was lost. */
  async #send(
    method: string,
    path: string,
    body: object | undefined,
    headers: Record<string, string>,
  ): Promise<Answer> {
    try {
      const response = await fetch(`${this.#gateway}/api${path}`, {
        method,
        headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
        ...(body && { body: JSON.stringify(body) }),
        signal: AbortSignal.any([this.#abandoned, AbortSignal.timeout(answerMs)]),
      });
      const retryAfterMs = Number(response.headers.get('retry-after') ?? 1) * 1000;
      // the status alone is an acknowledgement
      const parsed = (await response.json().catch(() => ({}))) as Record<string, unknown>;
      return { status: response.status, retryAfterMs, body: parsed };
    } catch (error) {
      const { code } = ((error as Error).cause ?? {}) as { code?: string };
      return { status: code === 'ECONNREFUSED' ? 0 : undefined, retryAfterMs: 500, body: {} };
    }
  }
}

const person = { firstName: 'Chaos', lastName: 'Client' };
