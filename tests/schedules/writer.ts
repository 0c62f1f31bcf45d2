import { setTimeout as sleep } from 'node:timers/promises';
import { encodeHeaders } from '#platform/contract';
import { appendToOutbox } from '#platform/outbox';
import type { Pool } from '#platform/postgres';
import { transaction } from '#platform/postgres';
import type { Random } from '#test/random.ts';

/** The tables of the schedules: what is written, and what the consumer makes of it. */
export const tables = `
  CREATE TABLE public.aggregates (key text PRIMARY KEY, n int NOT NULL);
  CREATE TABLE public.unrelated (id int PRIMARY KEY, n int NOT NULL);
  CREATE TABLE public.written (id text PRIMARY KEY, key text NOT NULL, n int NOT NULL, is_poison boolean NOT NULL);
  CREATE TABLE public.effects (position bigint GENERATED ALWAYS AS IDENTITY, id text NOT NULL, record text NOT NULL);`;

/** A transaction of a writer: an event of each of these aggregates. */
export interface Change {
  keys: string[];
  /** those of its aggregates whose event is poison */
  poison: string[];
  /** how long it waits before it, and before its commit, in milliseconds */
  before: number;
  open: number;
  /** whether it gets its transaction id before the locks of its aggregates: another one can then overtake it */
  isEarly: boolean;
  isRolledBack: boolean;
}

export const topic = 'order-events';
export const keys = ['1', '2', '3', '4', '5'];

/** @param poison how many of the events are poison, from 0 to 1 */
export function drawChanges(random: Random, poison: number): Change[] {
  return Array.from({ length: random.int(3, 10) }, () => ({
    keys: keys.filter(() => random.chance(0.35)),
    poison: keys.filter(() => random.chance(poison)),
    before: random.int(0, random.pick([5, 50, 400])),
    open: random.chance(0.2) ? random.int(1, 700) : 0,
    isEarly: random.chance(0.4),
    isRolledBack: random.chance(0.1),
  }));
}

/** Makes the changes one after the other; one whose transaction fails is left out. The time of an event follows from its number. */
export async function write(
  pool: Pool,
  changes: Change[],
  { start, onCommitted }: { start: number; onCommitted: () => void },
) {
  for (let change = changes.shift(); change; change = changes.shift()) {
    const { before, open, isEarly, isRolledBack, poison } = change;
    const own = change.keys;
    await sleep(before);
    const committing = transaction(pool, async (tx) => {
      if (isEarly) await tx.query('INSERT INTO unrelated VALUES (1, 0) ON CONFLICT DO NOTHING');
      if (isEarly) await tx.query('SELECT pg_current_xact_id()');
      for (const key of own) {
        const { rows } = await tx.query<{ n: number }>(
          `INSERT INTO aggregates AS a VALUES ($1, 1) ON CONFLICT (key) DO UPDATE SET n = a.n + 1 RETURNING n`,
          [key],
        );
        const n = rows[0]!.n;
        const id = `${key}-${n}`;
        const isPoison = poison.includes(key);
        await tx.query('INSERT INTO written VALUES ($1, $2, $3, $4)', [id, key, n, isPoison]);
        await appendToOutbox(tx, [{ ...eventOf(key, n, start, isPoison), topic, key, eventId: id }]);
      }
      if (open > 0) await sleep(open);
      if (isRolledBack) throw new Error('refused');
    });
    await committing.then(onCommitted, () => undefined);
  }
}

/** The n-th event of a key. Its time jumps about, so that it can be late. */
function eventOf(key: string, n: number, start: number, isPoison: boolean) {
  const orderId = Number(key) * 1_000 + n;
  const time = new Date(start + n * 4_000 + ((orderId * 7_919) % 9_000)).toISOString();
  const status = ['PENDING', 'CONFIRMED', 'CANCELLED'][orderId % 3]!;
  return { ...order(orderId, status, time, isPoison), headers: { ce_time: time } };
}

function order(orderId: number, status: string, time: string, isPoison = false) {
  const data = { orderId, userId: orderId % 3, status, totalAmount: (orderId * 37) % 100, createdAt: time, isPoison };
  return { type: 'order.created', source: '/orders', data: JSON.stringify(data) };
}

/** An event that is in a partition before a schedule begins: without one, a partition says nothing of the time. */
export function firstEventOf(partition: number, start: number) {
  const key = `first-${partition}`;
  const time = new Date(start - 60_000);
  const { type, source, data } = order(partition, 'PENDING', time.toISOString());
  const headers = encodeHeaders({ id: key, type, source, subject: key, time });
  return { id: key, key, message: { key, value: Buffer.from(data), headers } };
}
