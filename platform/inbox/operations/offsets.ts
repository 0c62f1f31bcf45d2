import type { PartitionOffset } from '#platform/contract';
import type { KafkaAdmin, Watermarks } from '#platform/kafka';
import type { ConsumerPartOptions } from './handlers.ts';

/** how long to wait for Kafka: without an answer, the stored offsets alone are listed */
const kafkaMs = 2_000;
/** the oldest age that is looked for, in milliseconds */
const maxAgeMs = 2 ** 36;
/** how exact an age is: a part of it */
const accuracy = 0.1;

interface Stored {
  topic: string;
  partition: number;
  next: string;
  topic_id: string | null;
}

/** How far a group has read the partitions of its topics. */
export async function listOffsets({ group, topics, pool, kafka }: ConsumerPartOptions): Promise<PartitionOffset[]> {
  const { rows } = await pool.query<Stored>(
    `SELECT topic, partition, next_offset AS next, topic_id FROM millrace.inbox_offsets WHERE consumer_group = $1
     ORDER BY topic, partition`,
    [group],
  );
  const marks = new Map<string, Map<number, Watermarks | undefined>>();
  const ages = new Map<Stored, number>();
  const late = new AbortController();
  const ask = async (topic: string): Promise<void> => {
    marks.set(topic, await kafka.admin.knownWatermarks(topic));
    for (const row of rows) {
      const { low = 0n, high = 0n } = marks.get(row.topic)?.get(row.partition) ?? {};
      if (row.topic !== topic || BigInt(row.next) >= high) continue;
      const next = BigInt(row.next) > low ? BigInt(row.next) : low;
      const age = await ageOf(kafka.admin, row, next, late.signal);
      if (age !== undefined) ages.set(row, age);
    }
  };
  const timeout = new Promise<void>((resolve) => late.signal.addEventListener('abort', () => resolve()));
  const timer = setTimeout(() => late.abort(), kafkaMs);
  await Promise.race([Promise.allSettled(topics.map(ask)), timeout]);
  clearTimeout(timer);
  return rows.map((row) => {
    const { topic, partition, next, topic_id: topicId } = row;
    const end = marks.get(topic)?.get(partition)?.high;
    const age = ages.get(row);
    return {
      group,
      topic,
      topicId,
      partition,
      storedOffset: Number(next),
      endOffset: end === undefined ? null : Number(end),
      lag: end === undefined ? null : Math.max(0, Number(end - BigInt(next))),
      oldestUnreadSeconds: age === undefined ? null : Math.round(age / 100) / 10,
    };
  });
}

/**
 * About how old the record at an offset is, in milliseconds. Kafka tells offsets by time and not the other way round: this
 * looks back further and further, and then between the last two times. @returns undefined if it is too old, or the signal came
 */
async function ageOf(
  admin: Pick<KafkaAdmin, 'offsetsAt'>,
  { topic, partition }: Stored,
  offset: bigint,
  signal: AbortSignal,
): Promise<number | undefined> {
  const now = Date.now();
  const isYounger = async (ageMs: number) =>
    ((await admin.offsetsAt(topic, Math.max(0, now - ageMs))).get(partition) ?? 0n) <= offset;
  let from = 0;
  let to = 1_000;
  while (!(await isYounger(to))) {
    if (signal.aborted || to > maxAgeMs) return undefined;
    from = to;
    to *= 4;
  }
  while (to - from > Math.max(500, accuracy * to) && !signal.aborted) {
    const middle = (from + to) / 2;
    if (await isYounger(Math.round(middle))) to = middle;
    else from = middle;
  }
  return to;
}
