import { StreamsError } from '#streams/errors';
import { nameOf } from '#platform/kafka';
import type { TopicPartition } from '#platform/kafka';
import type { Pool, PoolClient } from '#platform/postgres';
import { maxRepeatDistance, PartitionWatermarks, TopicIds } from '#streams/engine';

/** The state of a partition that its next events need. */
export interface KnownPartition {
  /** the next offset: the state is that before its event */
  next: bigint;
  watermarks: PartitionWatermarks;
}

type PartitionOffset = TopicPartition & { offset: bigint };

/**
 * The state that aggregating the events of partitions needs: their watermarks and the ids of their latest events. It is valid
 * for one offset only; for another one it is read from the database.
 */
export class PartitionMemory {
  readonly #group: string;
  readonly #known = new Map<string, KnownPartition>();
  /** by topic; of partitions that are read elsewhere, too, as they were when one was loaded here */
  readonly #ids = new Map<string, TopicIds>();
  readonly #idsBeside: ReadonlyMap<string, TopicIds> | undefined;

  /** @param beside has the ids of the other partitions of each topic of which it has loaded one */
  constructor(group: string, beside?: PartitionMemory) {
    this.#group = group;
    this.#idsBeside = beside && beside.#ids;
  }

  /** Loads the state of partitions before the events at these offsets, unless it is here. */
  async prepare(db: Pool | PoolClient, partitions: readonly PartitionOffset[]): Promise<void> {
    const missing = partitions.filter((at) => this.#known.get(nameOf(at))?.next !== at.offset);
    if (missing.length === 0) return;
    const watermarks = await readWatermarks(db, this.#group, missing);
    const recent = await readRecent(db, this.#group, missing, (topic) => !this.#idsBeside?.has(topic));
    for (const { topic, partition, hashes, isOwn } of recent)
      if (isOwn || !this.#known.has(nameOf({ topic, partition }))) this.idsOf(topic).set(partition, hashes);
    missing.forEach((at, i) => this.#known.set(nameOf(at), { next: at.offset, watermarks: watermarks[i]! }));
  }

  /** The ids of the latest events of a topic. */
  idsOf(topic: string): TopicIds {
    let ids = this.#ids.get(topic);
    if (!ids) this.#ids.set(topic, (ids = new TopicIds(this.#idsBeside?.get(topic))));
    return ids;
  }

  /** @throws if the partition is not prepared */
  get(partition: TopicPartition): KnownPartition {
    const known = this.#known.get(nameOf(partition));
    if (!known)
      throw new StreamsError('ERR_QUERY_PARTITION_UNKNOWN', `the state of ${nameOf(partition)} is not loaded`);
    return known;
  }

  /** The partitions whose state is here. */
  get partitions(): TopicPartition[] {
    return [...this.#known.values()].map(({ watermarks: { topic, partition } }) => ({ topic, partition }));
  }

  /** Drops all state, because events were discarded. */
  reset(): void {
    this.#known.clear();
    this.#ids.clear();
  }
}

function keyValues(group: string, partitions: readonly PartitionOffset[]): unknown[] {
  return [group, partitions.map(({ topic }) => topic), partitions.map(({ partition }) => partition)];
}

async function readWatermarks(
  db: Pool | PoolClient,
  group: string,
  partitions: readonly PartitionOffset[],
): Promise<PartitionWatermarks[]> {
  const { rows } = await db.query<{ topic: string; partition: number; clock: string; watermark: Date }>({
    name: 'watermarks-read',
    text: `SELECT topic, partition, clock, watermark FROM stream_watermarks
      WHERE consumer_group = $1 AND (topic, partition) IN (SELECT * FROM unnest($2::text[], $3::int[]))`,
    values: keyValues(group, partitions),
  });
  return partitions.map(({ topic, partition }) => {
    const own = rows.filter((row) => row.topic === topic && row.partition === partition);
    return new PartitionWatermarks(
      topic,
      partition,
      own.map(({ clock, watermark }) => [clock, watermark.getTime()] as const),
    );
  });
}

/**
 * Reads the ids of the latest events of partitions, and of the others of their topics: an event may come by two of them.
 * @param needsOthers whether those of the other partitions of a topic are read
 */
async function readRecent(
  db: Pool | PoolClient,
  group: string,
  partitions: readonly PartitionOffset[],
  needsOthers: (topic: string) => boolean,
) {
  // what has higher offsets is of an earlier topic of that name: it was read before
  const { rows } = await db.query<TopicPartition & { hashes: Buffer }>({
    name: 'recent-read',
    text: `SELECT r.topic, r.partition, r.hashes FROM stream_recent_ids r
      LEFT JOIN unnest($2::text[], $3::int[], $4::bigint[]) AS p(topic, partition, first)
        ON r.topic = p.topic AND r.partition = p.partition
      WHERE r.consumer_group = $1 AND r.topic = ANY ($2)
        AND (r.last_offset >= p.first - ${maxRepeatDistance} OR p.first IS NULL AND r.topic = ANY ($5))
      ORDER BY r.topic, r.partition, r.last_offset < p.first, r.last_offset`,
    values: [
      ...keyValues(group, partitions),
      partitions.map(({ offset }) => offset),
      [...new Set(partitions.map(({ topic }) => topic))].filter(needsOthers),
    ],
  });
  const found = Map.groupBy(rows, nameOf);
  const named = new Map([...rows, ...partitions].map((at) => [nameOf(at), at]));
  const own = new Set(partitions.map(nameOf));
  return [...named].map(([name, { topic, partition }]) => ({
    topic,
    partition,
    isOwn: own.has(name),
    hashes: (found.get(name) ?? []).flatMap(({ hashes }) => readHashes(hashes)),
  }));
}

/** Hashes as bytes, eight each. */
export function writeHashes(hashes: readonly number[]): Buffer {
  return Buffer.from(Float64Array.from(hashes).buffer);
}

function readHashes(bytes: Buffer): number[] {
  const hashes: number[] = [];
  for (let at = 0; at < bytes.length; at += 8) hashes.push(bytes.readDoubleLE(at));
  return hashes;
}
