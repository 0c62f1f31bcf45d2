import type { TopicPartition } from '#platform/kafka';
import type { PoolClient } from '#platform/postgres';
import type { Plan, ClockWatermark, Tally } from '#streams/engine';
import { writeHashes } from './partitions.ts';

/** The hashes of the event ids of a partition, up to an offset. */
export interface SeenIds extends TopicPartition {
  /** the offset of the last of them */
  last: bigint;
  hashes: readonly number[];
}

export interface BatchProgress {
  group: string;
  tallies: ReadonlyMap<Plan, Tally>;
  /** of the clocks that the batch has events of: for the other ones, a partition becomes idle */
  watermarks: readonly ClockWatermark[];
  seen: readonly SeenIds[];
}

const maxFailureLength = 500;

const save = {
  name: 'progress-save',
  text: `WITH counted AS (
      INSERT INTO stream_counters AS c (query_id, matched, late, latest_ms, failed, last_failure)
      SELECT * FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[])
      ON CONFLICT (query_id) DO UPDATE SET matched = c.matched + excluded.matched, late = c.late + excluded.late,
        latest_ms = greatest(c.latest_ms, excluded.latest_ms), failed = c.failed + excluded.failed,
        last_failure = coalesce(excluded.last_failure, c.last_failure)),
    remembered AS (
      INSERT INTO stream_recent_ids AS r (consumer_group, topic, partition, last_offset, hashes)
      SELECT $1, * FROM unnest($12::text[], $13::int[], $14::bigint[], $15::bytea[])
      ON CONFLICT (consumer_group, topic, partition, last_offset) DO UPDATE SET hashes = r.hashes || excluded.hashes)
    INSERT INTO stream_watermarks AS m (consumer_group, topic, partition, clock, watermark, updated_at)
    SELECT $1, topic, partition, clock, to_timestamp(seconds), clock_timestamp()
    FROM unnest($8::text[], $9::int[], $10::text[], $11::float8[]) AS t(topic, partition, clock, seconds)
    ON CONFLICT (consumer_group, topic, partition, clock) DO UPDATE
      SET watermark = greatest(m.watermark, excluded.watermark), updated_at = excluded.updated_at`,
};

/**
 * Saves the counts of a batch, the watermarks of its partitions and the ids of its events in one statement. Rows are sorted,
 * so that all transactions lock in the same order.
 */
export async function saveProgress(tx: PoolClient, progress: BatchProgress): Promise<void> {
  const counted = [...progress.tallies].toSorted(([a], [b]) => a.id - b.id);
  const moved = progress.watermarks.toSorted((a, b) => comparePartitions(a, b) || compare(a.clock, b.clock));
  const seen = progress.seen.filter(({ hashes }) => hashes.length > 0).toSorted(comparePartitions);
  await tx.query({
    ...save,
    values: [
      progress.group,
      counted.map(([plan]) => plan.id),
      counted.map(([, tally]) => tally.matched),
      counted.map(([, tally]) => tally.late),
      counted.map(([, tally]) => tally.latestMs),
      counted.map(([, tally]) => tally.failed),
      counted.map(([, tally]) => tally.failure?.replaceAll('\0', '').slice(0, maxFailureLength) ?? null),
      moved.map(({ topic }) => topic),
      moved.map(({ partition }) => partition),
      moved.map(({ clock }) => clock),
      moved.map(({ watermark }) => watermark / 1000),
      seen.map(({ topic }) => topic),
      seen.map(({ partition }) => partition),
      seen.map(({ last }) => last),
      seen.map(({ hashes }) => writeHashes(hashes)),
    ],
  });
}

function comparePartitions(a: { topic: string; partition: number }, b: { topic: string; partition: number }): number {
  return compare(a.topic, b.topic) || a.partition - b.partition;
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
