import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import {
  Batcher,
  BatcherFull,
  Unavailable,
  isOfData,
  isOutcomeUnknown,
  isUnavailable,
  markOutcomeUnknown,
  markUndone,
} from '#platform/postgres';
import type { NewOrder } from '../domain/order.ts';
import { createdData, decimalOf } from '../domain/order.ts';
import { outcomeOf } from './lost-batch.ts';
import type { BatchId } from './lost-batch.ts';

export interface IdempotencyKey {
  key: string;
  fingerprint: string;
}

interface Placement {
  order: NewOrder;
  idempotency: IdempotencyKey | undefined;
  traceparent: string | undefined;
}

export interface Placed {
  id: number;
  createdAt: Date;
}

/** The result of one placement of a batch. */
type PlacementResult = Placed | 'key-taken' | { error: unknown };

/** Separates the texts of a batch: JSON text has no control character. */
const separator = '\u001e';

const insertOrders = `INSERT INTO orders (id, user_id, status, total_amount, created_at, updated_at)
  SELECT id, user_id, 'PENDING', total_amount, $4::timestamptz, $4 FROM accepted`;
const insertEvents = `INSERT INTO order_events (order_id, version, type, data, traceparent, created_at)
  SELECT id, 1, 'order.created', ('{"orderId":' || id || ',' || data)::json, traceparent, $4 FROM accepted`;

// The batch is a row of its process; a batch that must not be committed any more finds its number there already, and then
// stores nothing.
const batchIn = `INSERT INTO last_batches AS last (placer, number, order_ids)
  SELECT $6::uuid, $7::bigint, array_agg(id ORDER BY n) FROM input
  ON CONFLICT (placer) DO UPDATE SET number = excluded.number, order_ids = excluded.order_ids, placed_at = now()
    WHERE last.number < excluded.number
  RETURNING number`;

const plain = {
  name: 'place-orders',
  text: `WITH input AS MATERIALIZED (
  SELECT nextval('orders_id_seq') AS id, input.*
  FROM unnest($1::bigint[], $2::numeric[], $3::text[], string_to_array($5, E'\\x1e'))
    WITH ORDINALITY AS input(user_id, total_amount, traceparent, data, n)
), batch AS (${batchIn}), accepted AS MATERIALIZED (
  SELECT * FROM input WHERE EXISTS (SELECT FROM batch)
), orders_in AS (${insertOrders}), events_in AS (${insertEvents})
SELECT array_agg(id::text ORDER BY n) AS ids FROM accepted`,
};

// Keys are inserted in order, so that two batches with common keys cannot deadlock. If another transaction has committed
// a key, the key does not change, and the statement omits its order. One whose server process hangs keeps its keys locked.
const keyed = {
  name: 'place-orders-with-keys',
  text: `WITH patience AS MATERIALIZED (
  SELECT set_config('lock_timeout', $10, true)
), input AS MATERIALIZED (
  SELECT nextval('orders_id_seq') AS id, input.*
  FROM patience, unnest($1::bigint[], $2::numeric[], $3::text[], string_to_array($5, E'\\x1e'), $8::text[], $9::text[])
    WITH ORDINALITY AS input(user_id, total_amount, traceparent, data, key, fingerprint, n)
), batch AS (${batchIn}), claimed AS (
  INSERT INTO idempotency_keys (key, fingerprint, order_id)
  SELECT key, fingerprint, id FROM input WHERE key IS NOT NULL AND EXISTS (SELECT FROM batch) ORDER BY key, n
  ON CONFLICT (key) DO NOTHING RETURNING order_id
), accepted AS MATERIALIZED (
  SELECT * FROM input
  WHERE EXISTS (SELECT FROM batch) AND (key IS NULL OR id IN (SELECT order_id FROM claimed))
), orders_in AS (${insertOrders}), events_in AS (${insertEvents})
SELECT array_agg(accepted.id::text ORDER BY n) AS ids FROM input LEFT JOIN accepted USING (n)`,
};

/** how long a batch waits for keys that other transactions keep locked, and how long an order does once a key has stayed so, in
    milliseconds: many such keys hold up the next orders little longer than one does */
const lockTimeoutMs = 1_000;
const shortLockTimeoutMs = 20;
/** how often a batch is sent whose connection is lost, where it is known that it was not stored */
const maxAttempts = 2;
const maxBatch = 128;
const maxQueue = 2_000;
const maxQueuedBytes = 32 * 1024 * 1024;

/** Whether a row stayed locked by another transaction, so that nothing was stored. */
const isLocked = (error: unknown): boolean => (error as { code?: string }).code === '55P03';

/** Whether PostgreSQL says that one order cannot be stored, or its key is locked: nothing was stored, and others may fare better. */
const isOfOrder = (error: unknown): boolean => isOfData(error) || isLocked(error);

/** Whether it is certain that nothing was stored. Any other error leaves it open, even one of the code: to read the answer can fail. */
const isUndone = (error: unknown): boolean => isOfOrder(error) || (isUnavailable(error) && !isOutcomeUnknown(error));

/**
 * Writes new orders and their events. Concurrent requests share one statement, which is one transaction: an order and its
 * event are durable when its promise resolves. After a lost connection, or any other error that leaves it open, it finds out
 * whether the batch was committed. If it cannot, the outcome is unknown (`isOutcomeUnknown`); it does not store an order
 * twice. Orders with a key have batches of their own: a key that another transaction keeps locked holds up no order without
 * one.
 */
export class OrderPlacer {
  readonly #plain: Lane;
  readonly #keyed: Lane;
  #queuedBytes = 0;

  constructor(pool: Pool) {
    this.#plain = new Lane(pool, plain);
    this.#keyed = new Lane(pool, keyed);
  }

  /**
   * Stores an order; undefined if its idempotency key was used before.
   * @throws BatcherFull if the queue is full
   */
  async place(order: NewOrder, key?: IdempotencyKey, traceparent?: string): Promise<Placed | undefined> {
    const bytes = sizeOf(order);
    if (this.#queuedBytes + bytes > maxQueuedBytes) throw new BatcherFull(`${this.#queuedBytes} bytes are waiting`);
    this.#queuedBytes += bytes;
    try {
      const lane = key === undefined ? this.#plain : this.#keyed;
      const outcome = await lane.batcher.submit({ order, idempotency: key, traceparent });
      if (outcome === 'key-taken') return undefined;
      if ('error' in outcome) throw outcome.error;
      return outcome;
    } finally {
      this.#queuedBytes -= bytes;
    }
  }

  /** Resolves when no order is in flight. */
  async drain(): Promise<void> {
    await Promise.all([this.#plain.batcher.drain(), this.#keyed.batcher.drain()]);
  }
}

/** Sends one batch of orders after the other, by one statement. */
class Lane {
  readonly #pool: Pool;
  readonly #statement: typeof plain;
  readonly batcher: Batcher<Placement, PlacementResult>;
  #lastBatch: BatchId = { placer: randomUUID(), number: 0 };

  constructor(pool: Pool, statement: typeof plain) {
    this.#pool = pool;
    this.#statement = statement;
    // one in flight: orders that arrive while it waits for the disk share the next transaction
    this.batcher = new Batcher({ run: (batch) => this.#run(batch), maxBatch, maxQueue });
  }

  async #run(batch: Placement[]): Promise<PlacementResult[]> {
    try {
      return await this.#insert(batch);
    } catch (error) {
      // if one order cannot be stored, the others must not fail
      if (batch.length === 1 || !isOfOrder(error)) throw error;
      return this.#insertEach(batch, isLocked(error));
    }
  }

  async #insertEach(batch: Placement[], hasLockedKey: boolean): Promise<PlacementResult[]> {
    const outcomes: PlacementResult[] = [];
    let timeoutMs = hasLockedKey ? shortLockTimeoutMs : lockTimeoutMs;
    let away: Unavailable | undefined;
    for (const placement of batch) {
      if (away) {
        outcomes.push({ error: away });
        continue;
      }
      try {
        outcomes.push(...(await this.#insert([placement], timeoutMs)));
      } catch (error) {
        outcomes.push({ error });
        if (isLocked(error)) timeoutMs = shortLockTimeoutMs;
        if (!isOfOrder(error)) away = new Unavailable('the database was lost before this order was sent');
      }
    }
    return outcomes;
  }

  async #insert(batch: Placement[], timeoutMs = lockTimeoutMs): Promise<PlacementResult[]> {
    const createdAt = new Date();
    const values: unknown[] = [
      batch.map(({ order }) => order.userId),
      batch.map(({ order }) => decimalOf(order.totalCents)),
      batch.map(({ traceparent }) => traceparent ?? null),
      createdAt,
      batch.map(({ order }) => JSON.stringify(createdData(order, createdAt)).slice(1)).join(separator),
    ];
    if (this.#statement === keyed) {
      values.push(batch.map(({ idempotency }) => idempotency?.key ?? null));
      values.push(batch.map(({ idempotency }) => idempotency?.fingerprint ?? null));
      values.push(`${timeoutMs}ms`);
    }
    const ids = await this.#send(values);
    return ids.map((id) => (id === null ? 'key-taken' : { id: Number(id), createdAt }));
  }

  /** @returns the ids of the orders; null for one whose key is taken */
  async #send(values: unknown[]): Promise<(string | null)[]> {
    for (let attempt = 1; ; attempt += 1) {
      const { placer, number } = this.#nextBatch();
      try {
        const { rows } = await this.#pool.query<{ ids: (string | null)[] }>({
          ...this.#statement,
          values: values.toSpliced(5, 0, placer, number),
        });
        return rows[0]!.ids;
      } catch (error) {
        if (isUndone(error)) throw error;
        const outcome = await outcomeOf(this.#pool, { placer, number });
        if (outcome === 'unknown') {
          this.#lastBatch = { placer: randomUUID(), number: 0 }; // the lost batch may lock the row
          throw markOutcomeUnknown(error);
        }
        if (outcome !== 'undone') return outcome;
        if (attempt === maxAttempts) throw markUndone(error);
      }
    }
  }

  #nextBatch(): BatchId {
    const { placer, number } = this.#lastBatch;
    return (this.#lastBatch = { placer, number: number + 1 });
  }
}

/** About the memory of a waiting order. */
function sizeOf(order: NewOrder): number {
  const texts = (order.shippingAddress?.length ?? 0) + (order.notes?.length ?? 0);
  return order.items.reduce((sum, item) => sum + 150 + item.productName.length, 500 + texts);
}
