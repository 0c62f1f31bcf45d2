import type { ReceivedEvent } from '#contracts/cloudevents.ts';
import { counter } from '#kit/metrics.ts';
import type { PoolClient } from '#kit/pg.ts';
import { PartitionClocks } from '../engine/clocks.ts';
import { RecentIds, hashOf, horizon } from '../engine/recent-ids.ts';

/** What is known of a partition before a batch. */
interface Known {
  clocks: PartitionClocks;
  recent: RecentIds;
}

/** What a batch has of a partition. */
export interface PartitionBatch extends Known {
  topic: string;
  partition: number;
  /** the offsets of its first and last event */
  first: bigint;
  last: bigint;
  /** hashes of the ids of its events, without repetitions */
  hashes: number[];
}

type Place = Omit<PartitionBatch, keyof Known>;

const repeated = counter({
  name: 'millrace_stream_repeated_events_total',
  help: 'Events that had been counted before and were passed over',
  labelNames: ['topic'],
});

/**
 * What has to be known of the partitions that this process reads: their clocks and the ids of their latest events. What is
 * remembered holds for one offset only: where a transaction was rolled back, or another process has been at the partition,
 * the offsets differ and it is read again. A batch in hand takes it out, so that concurrent ones do not mix.
 */
export class PartitionMemory {
  readonly #group: string;
  readonly #remembered = new Map<string, Known & { nextOffset: bigint }>();

  constructor(group: string) {
    this.#group = group;
  }

  /** Splits a batch by partition, and leaves out events whose id came before: those that a relay sent twice. */
  async open(tx: PoolClient, events: readonly ReceivedEvent[]) {
    const places = new Map<string, Place>();
    for (const { topic, partition, offset } of events) {
      const name = nameOf(topic, partition);
      const place = places.get(name);
      if (place) place.last = offset;
      else places.set(name, { topic, partition, first: offset, last: offset, hashes: [] });
    }
    const partitions = await this.#know(tx, places);
    const fresh = events.filter(({ topic, partition, id }) => {
      const batch = partitions.get(nameOf(topic, partition))!;
      const hash = hashOf(id);
      const isNew = batch.recent.add(hash);
      if (isNew) batch.hashes.push(hash);
      else repeated.inc({ topic });
      return isNew;
    });
    const clocksOf = (topic: string, partition: number) => partitions.get(nameOf(topic, partition))!.clocks;
    return { partitions: [...partitions.values()], fresh, clocksOf };
  }

  /** Remembers what the batch came to, which may yet be rolled back. */
  close(partitions: readonly PartitionBatch[], after: readonly PartitionClocks[]): void {
    for (const { topic, partition, last, clocks, recent } of partitions) {
      const moved = after.find((other) => other.topic === topic && other.partition === partition);
      this.#remembered.set(nameOf(topic, partition), { nextOffset: last + 1n, clocks: moved ?? clocks, recent });
    }
  }

  /** Adds what is known of each partition; from the database where what is remembered is of another offset. */
  async #know(tx: PoolClient, places: ReadonlyMap<string, Place>): Promise<Map<string, PartitionBatch>> {
    const batches = new Map<string, PartitionBatch>();
    const missing: [name: string, place: Place][] = [];
    for (const [name, place] of places) {
      const known = this.#remembered.get(name);
      this.#remembered.delete(name);
      if (known?.nextOffset === place.first)
        batches.set(name, { ...place, clocks: known.clocks, recent: known.recent });
      else missing.push([name, place]);
    }
    if (missing.length === 0) return batches;
    const unknown = missing.map(([, place]) => place);
    const clocks = await readClocks(tx, this.#group, unknown);
    const recent = await readRecent(tx, this.#group, unknown);
    missing.forEach(([name, place], i) => batches.set(name, { ...place, clocks: clocks[i]!, recent: recent[i]! }));
    return batches;
  }
}

function nameOf(topic: string, partition: number): string {
  return `${partition}:${topic}`;
}

function placeValues(group: string, places: readonly Place[]): unknown[] {
  return [group, places.map(({ topic }) => topic), places.map(({ partition }) => partition)];
}

async function readClocks(tx: PoolClient, group: string, places: readonly Place[]): Promise<PartitionClocks[]> {
  const { rows } = await tx.query<{ topic: string; partition: number; clock: string; watermark: Date }>({
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

async function readRecent(tx: PoolClient, group: string, places: readonly Place[]): Promise<RecentIds[]> {
  const { rows } = await tx.query<{ topic: string; partition: number; hashes: Buffer }>({
    name: 'recent-read',
    text: `SELECT r.topic, r.partition, r.hashes FROM stream_recent_ids r
      JOIN unnest($2::text[], $3::int[], $4::bigint[]) AS p(topic, partition, first)
        ON r.topic = p.topic AND r.partition = p.partition
      WHERE r.consumer_group = $1 AND r.last_offset >= p.first - ${horizon}
      ORDER BY r.topic, r.partition, r.last_offset`,
    values: [...placeValues(group, places), places.map(({ first }) => first)],
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
