import { StreamsError } from '#streams/errors';
import { nameOf } from '#platform/inbox';
import type { TopicPartition } from '#platform/kafka';
import type { Pool, PoolClient } from '#platform/postgres';
import { horizon, PartitionClocks, RecentIds } from '#streams/engine';

/** How far a partition has been taken in, and what has to be known of it to go on. */
export interface KnownPartition {
  /** the offset from which on events are news */
  next: bigint;
  clocks: PartitionClocks;
  recent: RecentIds;
}

type Place = TopicPartition & { offset: bigint };

/**
 * What has to be known of partitions before their events can be aggregated: their clocks and the ids of their latest
 * events. What is remembered holds for one offset only; where events of another one follow, it is read from the database.
 */
export class PartitionMemory {
  readonly #group: string;
  readonly #known = new Map<string, KnownPartition>();

  constructor(group: string) {
    this.#group = group;
  }

  /** Makes sure that partitions are known as they are before the events at an offset. */
  async prepare(db: Pool | PoolClient, places: readonly Place[]): Promise<void> {
    const missing = places.filter((place) => this.#known.get(nameOf(place))?.next !== place.offset);
    if (missing.length === 0) return;
    const clocks = await readClocks(db, this.#group, missing);
    const recent = await readRecent(db, this.#group, missing);
    missing.forEach((place, i) =>
      this.#known.set(nameOf(place), { next: place.offset, clocks: clocks[i]!, recent: recent[i]! }),
    );
  }

  /** @throws where the partition was not prepared */
  get(partition: TopicPartition): KnownPartition {
    const known = this.#known.get(nameOf(partition));
    if (!known) throw new StreamsError('ERR_QUERY_PARTITION_UNKNOWN', `nothing is known of ${nameOf(partition)}`);
    return known;
  }

  /** The partitions of which something is known. */
  get places(): TopicPartition[] {
    return [...this.#known.values()].map(({ clocks: { topic, partition } }) => ({ topic, partition }));
  }

  /** Forgets everything: what was taken in was not committed. */
  reset(): void {
    this.#known.clear();
  }
}

function placeValues(group: string, places: readonly Place[]): unknown[] {
  return [group, places.map(({ topic }) => topic), places.map(({ partition }) => partition)];
}

async function readClocks(db: Pool | PoolClient, group: string, places: readonly Place[]): Promise<PartitionClocks[]> {
  const { rows } = await db.query<{ topic: string; partition: number; clock: string; watermark: Date }>({
    name: 'clocks-read',
    text: `SELECT topic, partition, clock, watermark FROM stream_watermarks
      WHERE consumer_group = $1 AND (topic, partition) IN (SELECT * FROM unnest($2::text[], $3::int[]))`,
    values: placeValues(group, places),
  });
  return places.map(({ topic, partition }) => {
    const own = rows.filter((row) => row.topic === topic && row.partition === partition);
    return new PartitionClocks(
      topic,
      partition,
      own.map(({ clock, watermark }) => [clock, watermark.getTime()] as const),
    );
  });
}

async function readRecent(db: Pool | PoolClient, group: string, places: readonly Place[]): Promise<RecentIds[]> {
  const { rows } = await db.query<{ topic: string; partition: number; hashes: Buffer }>({
    name: 'recent-read',
    text: `SELECT r.topic, r.partition, r.hashes FROM stream_recent_ids r
      JOIN unnest($2::text[], $3::int[], $4::bigint[]) AS p(topic, partition, first)
        ON r.topic = p.topic AND r.partition = p.partition
      WHERE r.consumer_group = $1 AND r.last_offset >= p.first - ${horizon}
      ORDER BY r.topic, r.partition, r.last_offset`,
    values: [...placeValues(group, places), places.map(({ offset }) => offset)],
  });
  return places.map(({ topic, partition }) => {
    const own = rows.filter((row) => row.topic === topic && row.partition === partition);
    return new RecentIds(own.flatMap(({ hashes }) => readHashes(hashes)));
  });
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
