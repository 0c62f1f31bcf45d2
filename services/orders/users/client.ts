import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { OrdersError } from '../errors.ts';
import type { User } from '#contracts/users.ts';
import type { Logger } from '#platform/telemetry';
import { CircuitBreaker, unavailable } from '#platform/http';
import { SpanKind, failSpan, startSpan, traceparentOf } from '#platform/telemetry';
import type { KnownUser } from '../domain/order.ts';
import { LookupCache } from '#platform/projection';

const timeoutMs = 1_000;
const retryAfterMs = 50;
const maxConnections = 16;
const maxUnderWay = 256;
const cacheTtlMs = 60_000;
const cacheEntries = 20_000;
/** how long the circuit stays open */
const pauseMs = 2_000;

const connectionFaults = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/**
 * Looks users up in the users service. It caches responses until a user event comes or a minute has passed. Lookups have
 * a deadline, are retried after a failed connection, and fail at once while users keeps failing.
 */
export class UserServiceClient {
  readonly #pool: Pool;
  readonly #breaker: CircuitBreaker;
  readonly #cache: LookupCache<KnownUser>;
  #underWay = 0;

  constructor({ url, log }: { url: string; log: Logger }) {
    this.#pool = new Pool(new URL(url).origin, { connections: maxConnections, pipelining: 1 });
    this.#breaker = new CircuitBreaker({
      pauseMs,
      maxPauseMs: pauseMs,
      onChange(state) {
        if (state === 'open') log.warn({ service: 'users' }, 'users keeps failing: the circuit is open');
        if (state === 'closed') log.info({ service: 'users' }, 'users works again: the circuit is closed');
      },
    });
    this.#cache = new LookupCache({
      name: 'users',
      load: (id) => this.#askUnlessOpen(id),
      maxEntries: cacheEntries,
      ttlMs: cacheTtlMs,
    });
  }

  /**
   * The user with the id; undefined if there is none.
   * @throws Problem 503 if the lookup fails
   */
  async find(id: number): Promise<KnownUser | undefined> {
    try {
      return await this.#cache.get(id);
    } catch (error) {
      throw unavailable('The users service cannot be reached', Math.ceil(pauseMs / 1_000), error);
    }
  }

  /** Clears a user from the cache. */
  forget(id: number): void {
    this.#cache.forget(id);
  }

  /** Clears the cache. */
  forgetAll(): void {
    this.#cache.forgetAll();
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  async #askUnlessOpen(id: number): Promise<KnownUser | undefined> {
    if (this.#underWay >= maxUnderWay)
      throw new OrdersError('ERR_ORDERS_USERS_BUSY', `${maxUnderWay} lookups are in flight`);
    const permit = this.#breaker.admit();
    if (permit === undefined)
      throw new OrdersError('ERR_ORDERS_USERS_OPEN', 'users keeps failing: the circuit is open');
    this.#underWay += 1;
    try {
      const user = await this.#ask(id);
      this.#breaker.settle(permit, 'success');
      return user;
    } catch (error) {
      this.#breaker.settle(permit, 'failure');
      throw error;
    } finally {
      this.#underWay -= 1;
    }
  }

  async #ask(id: number): Promise<KnownUser | undefined> {
    const span = startSpan('GET /users/{id}', {
      kind: SpanKind.CLIENT,
      attributes: { 'http.request.method': 'GET', 'peer.service': 'users' },
    });
    try {
      const signal = AbortSignal.timeout(timeoutMs);
      const traceparent = traceparentOf(span);
      const user = await this.#request(id, traceparent, signal).catch(async (error: { code?: string }) => {
        if (!connectionFaults.has(error.code ?? '')) throw error;
        await sleep(retryAfterMs, undefined, { signal });
        return this.#request(id, traceparent, signal);
      });
      span.end();
      return user;
    } catch (error) {
      failSpan(span, error);
      throw error;
    }
  }

  async #request(id: number, traceparent: string, signal: AbortSignal): Promise<KnownUser | undefined> {
    const { statusCode, body } = await this.#pool.request({
      method: 'GET',
      path: `/users/${id}`,
      headers: { accept: 'application/json', traceparent },
      signal,
    });
    if (statusCode === 404) {
      await body.dump();
      return undefined;
    }
    if (statusCode !== 200) {
      await body.dump();
      throw new OrdersError('ERR_ORDERS_USERS_ANSWER', `users answered ${statusCode}`);
    }
    const user = (await body.json()) as Partial<User> | null;
    if (typeof user?.username !== 'string' || typeof user.email !== 'string') {
      throw new OrdersError('ERR_ORDERS_USERS_ANSWER', 'the response of users is not a user');
    }
    return { username: user.username, email: user.email };
  }
}
