import { StreamsError } from '#streams/errors';
import { nameOf } from '#platform/kafka';
import type { TopicPartition, Watermarks } from '#platform/kafka';
import type { Pool, PoolClient } from '#platform/postgres';
import { transaction } from '#platform/postgres';
import { backfillGroup } from '#platform/declarations';
import { decide, planOf } from '#streams/engine';
import type { KnownVersion } from '#streams/engine';
import { parseQuery } from '#streams/language';
import type { StreamQuery } from '#streams/language';
import { lockBackfill, readOffsets, sendBackfill } from './backfill-offsets.ts';
import type { StoredOffset } from './backfill-offsets.ts';
import { lockVersionsExclusive, nextEpoch, readLive } from './versions.ts';

/** A topic as Kafka has it now. */
export interface TopicLog {
  /** undefined where the brokers tell none */
  topicId: string | undefined;
  /** the first and last offsets, by partition */
  watermarks: ReadonlyMap<number, Watermarks>;
}

export type ReadLog = (topic: string) => Promise<TopicLog>;

/** The changes of the declarations. */
export interface Changes {
  changed: readonly StreamQuery[];
  /** names */
  removed: readonly string[];
}

/** Thrown for a partition that did not exist when the locks were taken. */
class NewPartition extends StreamsError {
  constructor() {
    super('ERR_QUERY_PARTITION_NEW', 'a partition is new');
  }
}

/**
 * Applies changes of the declarations: it registers a new version of a query whose meaning has changed, and retires the
 * versions of removed queries. A new version starts at the first event. In partitions that the live group has read already,
 * the backfill goes back to the first event; in others the live group reads them for the new version, too. A version that
 * needs no backfill serves at once. A query that reads a topic of which Kafka does not tell the offsets is left as it was.
 * @param group the service's consumer group
 * @returns why, by the name of each query that is left
 */
export async function registerQueries(
  pool: Pool,
  group: string,
  changes: Changes,
  readLog: ReadLog,
): Promise<ReadonlyMap<string, unknown>> {
  const { register, redefine, retire } = decide(await readKnown(pool, changes), changes.changed, changes.removed);
  if (register.length + redefine.length + retire.length === 0) return new Map();
  for (let attempt = 1; ; attempt++) {
    const { logs, left } = await readLogs(pool, group, register, readLog);
    const known = { ...changes, changed: changes.changed.filter(({ name }) => !left.has(name)) };
    try {
      await transaction(pool, (tx) => putIntoEffect(tx, group, known, logs));
      return left;
    } catch (error) {
      if (!(error instanceof NewPartition) || attempt === 5) throw error;
    }
  }
}

/** The versions that run; the definition of a changed query is null if this release does not understand it. */
async function readKnown(db: Pool | PoolClient, { changed }: Pick<Changes, 'changed'>): Promise<KnownVersion[]> {
  const { live } = await readLive(db);
  const names = new Set(changed.map(({ name }) => name));
  return live.map((version) => {
    const { name, definition } = version;
    const isLost = names.has(name) && definition !== null && !parseQuery(name, definition).query;
    return isLost ? { ...version, definition: null } : version;
  });
}

/** by topic */
type Logs = ReadonlyMap<string, TopicLog>;

/** Asks Kafka only about topics that the group has read: in a new database everything starts at the first event. */
async function readLogs(
  pool: Pool,
  group: string,
  queries: readonly StreamQuery[],
  read: ReadLog,
): Promise<{ logs: Logs; left: Map<string, unknown> }> {
  const wanted = [...new Set(queries.flatMap(({ from }) => from.map(({ topic }) => topic)))];
  const { rows } = await pool.query<{ topic: string }>(
    'SELECT DISTINCT topic FROM millrace.inbox_offsets WHERE consumer_group = $1 AND topic = ANY($2)',
    [group, wanted],
  );
  const logs = new Map<string, TopicLog>();
  const left = new Map<string, unknown>();
  const ask = async (topic: string) => {
    try {
      logs.set(topic, await read(topic));
    } catch (error) {
      for (const { name, from } of queries) if (from.some((source) => source.topic === topic)) left.set(name, error);
    }
  };
  await Promise.all(rows.map(({ topic }) => ask(topic)));
  return { logs, left };
}

async function putIntoEffect(tx: PoolClient, group: string, { changed, removed }: Changes, logs: Logs): Promise<void> {
  // all transactions lock in this order: the backfill's offsets, then the versions
  const backfill = await lockBackfill(tx, group);
  await lockVersionsExclusive(tx);
  const { register, redefine, retire } = decide(await readKnown(tx, { changed }), changed, removed);
  const own = await readOffsets(tx, group);
  if (own.some((at) => !backfill.has(nameOf(at)))) throw new NewPartition();
  await retireVersions(tx, retire);
  for (const { id, declaration } of redefine) {
    await tx.query('UPDATE stream_queries SET definition = $2, retention_ms = $3 WHERE id = $1', [
      id,
      declaration.definition,
      declaration.window?.retention ?? null,
    ]);
  }
  const lowOf = ({ topic, partition }: TopicPartition) => logs.get(topic)?.watermarks.get(partition)?.low ?? 0n;
  const behind: { id: number; partitions: StoredOffset[] }[] = [];
  for (const query of register) {
    const partitions = own.filter(
      (at) => query.from.some((source) => source.topic === at.topic) && at.next > lowOf(at),
    );
    const id = await insertVersion(tx, query, partitions.length === 0);
    if (partitions.length === 0) await retireOlder(tx, query.name, id);
    else behind.push({ id, partitions });
  }
  for (const at of own) {
    const beginning = behind.filter(({ partitions }) => partitions.includes(at)).map(({ id }) => id);
    const start = { low: lowOf(at), topicId: logs.get(at.topic)?.topicId };
    await sendBackfill(tx, group, at, backfill.get(nameOf(at))!, beginning, start);
  }
  await nextEpoch(tx);
}

async function insertVersion(tx: PoolClient, query: StreamQuery, serves: boolean): Promise<number> {
  const { rows } = await tx.query<{ id: number }>(
    `INSERT INTO stream_queries (name, version, fingerprint, clock, topics, retention_ms, definition, served_at, released_at)
     SELECT $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6, CASE WHEN $7 THEN now() END, CASE WHEN $7 THEN now() END
     FROM stream_queries WHERE name = $1 RETURNING id`,
    [
      query.name,
      query.fingerprint,
      planOf(query, 0, 0).clock,
      query.from.map(({ topic }) => topic),
      query.window?.retention ?? null,
      query.definition,
      serves,
    ],
  );
  return rows[0]!.id;
}

async function retireVersions(tx: PoolClient, ids: readonly number[]): Promise<void> {
  if (ids.length === 0) return;
  await tx.query('UPDATE stream_queries SET retired_at = now() WHERE id = ANY($1)', [ids]);
  for (const table of ['stream_members', 'stream_letters'])
    await tx.query(`DELETE FROM ${table} WHERE query_id = ANY($1)`, [ids]);
}

async function retireOlder(tx: PoolClient, name: string, id: number): Promise<void> {
  const { rows } = await tx.query<{ id: number }>(
    'SELECT id FROM stream_queries WHERE name = $1 AND id < $2 AND retired_at IS NULL',
    [name, id],
  );
  await retireVersions(
    tx,
    rows.map((row) => row.id),
  );
}

/** Lets versions that have caught up serve, and retires the versions before them. @returns whether there were any */
export async function serveCaughtUp(pool: Pool, group: string): Promise<boolean> {
  return transaction(pool, async (tx) => {
    await lockVersionsExclusive(tx);
    // the time is that after the lock: no batch of the backfill has begun later
    const { rows } = await tx.query<Pick<KnownVersion, 'id' | 'name'>>(
      `UPDATE stream_queries q SET served_at = clock_timestamp()
       WHERE served_at IS NULL AND retired_at IS NULL
         AND NOT EXISTS (SELECT FROM stream_members m WHERE m.query_id = q.id AND m.consumer_group = $1)
       RETURNING id, name`,
      [backfillGroup(group)],
    );
    for (const { id, name } of rows) await retireOlder(tx, name, id);
    if (rows.length > 0) await nextEpoch(tx);
    return rows.length > 0;
  });
}
