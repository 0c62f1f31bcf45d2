import type { TopicPartition } from '#platform/kafka';
import type { PoolClient } from '#platform/postgres';
import { backfillGroup } from '#platform/declarations';
import type { Versions } from '#streams/engine';
import { nextEpoch } from './versions.ts';

/** A partition, and the offset that the backfill comes to in it. */
export type Reached = TopicPartition & { next: bigint };

/**
 * Holds the service's own group still in those partitions in which it is not beyond the backfill, until the transaction
 * ends. @returns those partitions
 */
export async function holdBehind(tx: PoolClient, group: string, places: readonly Reached[]): Promise<Reached[]> {
  if (places.length === 0) return [];
  const { rows } = await tx.query<TopicPartition>({
    name: 'members-hold-behind',
    text: `SELECT o.topic, o.partition FROM millrace.inbox_offsets o
      JOIN unnest($2::text[], $3::int[], $4::bigint[]) AS r(topic, partition, next)
        ON o.topic = r.topic AND o.partition = r.partition
      WHERE o.consumer_group = $1 AND o.next_offset <= r.next
      ORDER BY o.topic, o.partition FOR UPDATE OF o`,
    values: [
      group,
      places.map(({ topic }) => topic),
      places.map(({ partition }) => partition),
      places.map(({ next }) => next),
    ],
  });
  return places.filter((place) =>
    rows.some(({ topic, partition }) => topic === place.topic && partition === place.partition),
  );
}

/**
 * The partitions of versions that are being built in which the backfill is not behind the service's own group, held still
 * in both until the transaction ends.
 */
export async function holdReached(tx: PoolClient, group: string): Promise<Reached[]> {
  const { rows } = await tx.query<TopicPartition & { next: string }>(
    `SELECT b.topic, b.partition, b.next_offset::text AS next FROM millrace.inbox_offsets b
     JOIN millrace.inbox_offsets o ON o.consumer_group = $1 AND o.topic = b.topic AND o.partition = b.partition
     WHERE b.consumer_group = $2 AND b.next_offset >= o.next_offset
       AND EXISTS (SELECT FROM stream_members m
                   WHERE m.consumer_group = $2 AND m.topic = b.topic AND m.partition = b.partition)
     ORDER BY b.topic, b.partition FOR UPDATE OF b`,
    [group, backfillGroup(group)],
  );
  return holdBehind(
    tx,
    group,
    rows.map(({ topic, partition, next }) => ({ topic, partition, next: BigInt(next) })),
  );
}

/**
 * Lets versions that are being built go on with the service's own group, from the offset that the backfill has come to.
 * The own group must be held still, and not be beyond it. Where it is still before it, it brings them only what follows.
 * @returns whether there were any
 */
export async function handOver(tx: PoolClient, versions: Versions, places: readonly Reached[]): Promise<boolean> {
  const { group } = versions;
  const backfill = backfillGroup(group);
  let some = false;
  for (const { topic, partition, next } of places) {
    const { plans, clocks } = versions.arrivals({ topic, partition }, next);
    if (plans.length === 0) continue;
    some = true;
    await tx.query(
      `UPDATE stream_members SET consumer_group = $1, from_offset = $2
       WHERE consumer_group = $3 AND topic = $4 AND partition = $5 AND query_id = ANY($6)`,
      [group, next, backfill, topic, partition, plans.map(({ id }) => id)],
    );
    await tx.query(
      `INSERT INTO stream_watermarks AS m (consumer_group, topic, partition, clock, watermark)
       SELECT $1, topic, partition, clock, watermark FROM stream_watermarks
       WHERE consumer_group = $2 AND topic = $3 AND partition = $4 AND clock = ANY($5)
       ON CONFLICT (consumer_group, topic, partition, clock) DO UPDATE
         SET watermark = greatest(m.watermark, excluded.watermark), updated_at = now()`,
      [group, backfill, topic, partition, clocks],
    );
  }
  if (some) await nextEpoch(tx);
  return some;
}
