import type { Pool } from '#platform/postgres';
import type { Versions } from '#streams/engine';
import type { StreamQuery } from '#streams/language';
import { readLive, registerQueries, VersionSource } from '#streams/store';
import type { ReadLog } from '#streams/store/registry.ts';

/** Puts queries into effect as if they were all that the files say. @param readLog default: offsets begin with 0 */
export async function declare(
  pool: Pool,
  group: string,
  queries: readonly StreamQuery[],
  readLog: ReadLog = () => Promise.resolve({ topicId: undefined, watermarks: new Map() }),
): Promise<{ source: VersionSource; versions: Versions }> {
  const { live } = await readLive(pool);
  const removed = live.map(({ name }) => name).filter((name) => queries.every((query) => query.name !== name));
  await registerQueries(pool, group, { changed: queries, removed }, readLog);
  const source = new VersionSource(group);
  return { source, versions: await source.load(pool) };
}

/** Empties the database of an engine: no queries, and nothing that they have kept or written. */
export async function forgetQueries(pool: Pool): Promise<void> {
  await pool.query(`TRUNCATE stream_queries, stream_members, stream_letters, millrace.dead_letters, millrace.inbox_offsets, stream_counters, stream_watermarks,
    stream_recent_ids, stream_windows, alerts, feed, millrace.outbox RESTART IDENTITY`);
}
