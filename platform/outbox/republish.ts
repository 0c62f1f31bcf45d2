import type { Pool } from '#platform/postgres';
import { outboxTable } from './write.ts';

/** The view over an event store that a service publishes in place of the outbox, in its own schema. */
const eventStore = 'outbox';

export interface Republishing {
  /** the table or view that is published again */
  source: string;
  /** how many events its relay publishes now */
  events: number;
}

/**
 * Lets the relay of a database publish its events again, in commit order: those with an id from `from` on, and those that were
 * committed after the first of these. The relay that runs follows within seconds. Consumers get events with the ids of before.
 * @param pool of the database of the outbox or the event store
 * @param from 1 is the first event; of an outbox that is no event store, the last days are there
 */
export async function republish(pool: Pool, from: number): Promise<Republishing> {
  const source = await sourceOf(pool);
  // without its lease, a relay cannot store the cursors that it has in memory: it loads these, and forgets what it has published
  const { rows } = await pool.query<{ events: number }>(
    `WITH first AS (
       SELECT s.shard, f.xid, f.id FROM millrace.outbox_shards s CROSS JOIN LATERAL (
         SELECT o.xid, o.id FROM ${source} o WHERE o.shard = s.shard AND o.id >= $1 ORDER BY o.xid, o.id LIMIT 1) f
     ), moved AS (
       UPDATE millrace.outbox_shards s SET
         xid = CASE WHEN (s.xid, s.id) >= (f.xid, f.id) THEN f.xid ELSE s.xid END,
         id = CASE WHEN (s.xid, s.id) >= (f.xid, f.id) THEN f.id - 1 ELSE s.id END,
         last_id = least(s.last_id, $1 - 1),
         owner = NULL, lease_until = NULL
       FROM first f WHERE s.shard = f.shard
     ), found AS (
       UPDATE millrace.outbox_ends SET lost_from = NULL WHERE lost_from IS NOT NULL
     )
     SELECT count(*)::int AS events FROM ${source} o JOIN first f ON f.shard = o.shard AND (o.xid, o.id) >= (f.xid, f.id)`,
    [from],
  );
  return { source, events: rows[0]!.events };
}

/** The id of the first event of a time or later; undefined where there is none. */
export async function firstIdSince(pool: Pool, time: Date): Promise<number | undefined> {
  const { rows } = await pool.query<{ id: string | null }>(
    `SELECT min(id)::text AS id FROM ${await sourceOf(pool)} WHERE created_at >= $1`,
    [time],
  );
  return rows[0]!.id === null ? undefined : Number(rows[0]!.id);
}

async function sourceOf(pool: Pool): Promise<string> {
  const { rows } = await pool.query<{ store: string | null }>('SELECT to_regclass($1)::text AS store', [
    `public.${eventStore}`,
  ]);
  return rows[0]!.store === null ? outboxTable : eventStore;
}
