import { isPending } from '#platform/inbox';
import { nameOf } from '#platform/kafka';
import type { TopicPartition } from '#platform/kafka';
import type { PoolClient } from '#platform/postgres';
import { backfillGroup } from '#platform/declarations';
import type { Exceptions } from '#streams/engine';
import { assertStartsCount } from './promotion.ts';

type MessageOffset = TopicPartition & { offset: bigint };

const columnsOf = (messages: readonly MessageOffset[]) => [
  messages.map(({ topic }) => topic),
  messages.map(({ partition }) => partition),
  messages.map(({ offset }) => offset),
];

/**
 * Notes messages that the backfill of a group cannot handle, for the versions that it reads them for. The live group keeps such a
 * message as a dead letter, and its replay brings it to these versions, too. The backfill's offsets must be locked.
 * @throws OffsetsMoved where a version begins at an offset of an earlier topic
 */
export async function noteSkipped(tx: PoolClient, group: string, messages: readonly MessageOffset[]): Promise<void> {
  const backfill = backfillGroup(group);
  await assertStartsCount(tx, backfill, messages); // what is noted in an earlier topic is forgotten with its offsets
  await tx.query(
    `INSERT INTO stream_letters (query_id, topic, partition, "offset", is_taken)
     SELECT m.query_id, s.topic, s.partition, s."offset", false
     FROM unnest($2::text[], $3::int[], $4::bigint[]) AS s(topic, partition, "offset")
     JOIN stream_members m ON m.consumer_group = $1 AND m.topic = s.topic AND m.partition = s.partition
       AND m.from_offset <= s."offset"
     ON CONFLICT DO NOTHING`,
    [backfill, ...columnsOf(messages)],
  );
}

/** Notes the dead letters of a group before the first offset that Kafka still has, for versions that begin: their replay brings them to these. */
export async function noteGone(
  tx: PoolClient,
  group: string,
  { topic, partition, offset }: MessageOffset,
  ids: readonly number[],
): Promise<void> {
  await tx.query(
    `INSERT INTO stream_letters (query_id, topic, partition, "offset", is_taken)
     SELECT q.id, d.topic, d.partition, d."offset", false
     FROM millrace.dead_letters d CROSS JOIN unnest($5::int[]) AS q(id)
     WHERE d.consumer_group = $1 AND d.topic = $2 AND d.partition = $3 AND d."offset" < $4 AND d.earlier_offset IS NULL
       AND ${isPending}`,
    [group, topic, partition, offset, ids],
  );
}

/** Which versions have what the live group could not handle, by partition. The versions must be locked. */
export async function readExceptions(
  tx: PoolClient,
  messages: readonly MessageOffset[],
): Promise<ReadonlyMap<string, Exceptions>> {
  const { rows } = await tx.query<TopicPartition & { offset: string; id: number; isTaken: boolean }>({
    name: 'letters-read',
    text: `SELECT l.topic, l.partition, l."offset"::text, l.query_id AS id, l.is_taken AS "isTaken" FROM stream_letters l
      JOIN unnest($1::text[], $2::int[], $3::bigint[]) AS m(topic, partition, "offset")
        ON l.topic = m.topic AND l.partition = m.partition AND l."offset" = m."offset"`,
    values: columnsOf(messages),
  });
  const partitions = Map.groupBy(rows, nameOf);
  return new Map(
    [...partitions].map(([name, own]) => [
      name,
      Map.groupBy(
        own.map(({ offset, ...exception }) => ({ ...exception, offset: BigInt(offset) })),
        ({ offset }) => offset,
      ),
    ]),
  );
}
