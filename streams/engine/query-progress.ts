import { watermarkOf } from './watermarks.ts';
import type { WatermarkReading } from './watermarks.ts';
import type { Plan } from './plan.ts';

/** The offsets that Kafka has of a partition. */
export interface Offsets {
  low: bigint;
  high: bigint;
}

/** What is known of a partition: Kafka's offsets, ours, and the clocks. */
export interface PartitionState {
  topic: string;
  partition: number;
  offsets: Offsets;
  nextOffset: bigint | undefined;
  watermarks: ReadonlyMap<string, { watermark: number; updatedAt: number }>;
}

/** A partition that has been read to its end and silent for so long is idle: it does not hold the others' windows open. */
export const idleAfterMs = 30_000;

/** Events of a partition that are not counted yet. */
export function lagOf({ offsets, nextOffset }: Pick<PartitionState, 'offsets' | 'nextOffset'>): number {
  const next = nextOffset === undefined || nextOffset < offsets.low ? offsets.low : nextOffset;
  return next < offsets.high ? Number(offsets.high - next) : 0;
}

/** How far a version is that is being built. */
export interface BuildProgress {
  /** events that it has still to take before it takes its place, as of now */
  eventsLeft: number;
  /** of all events of its topics, with one decimal place */
  percent: number;
}

/** @param behind the partitions that are read again for the version, and from where */
export function buildProgress(
  plan: Pick<Plan, 'query'>,
  behind: readonly { topic: string; partition: number; from: bigint }[],
  partitions: readonly PartitionState[],
): BuildProgress {
  let [all, eventsLeft] = [0, 0];
  for (const { topic, partition, offsets } of partitions) {
    if (!plan.query.from.some((source) => source.topic === topic)) continue;
    all += Number(offsets.high - offsets.low);
    const own = behind.find((known) => known.topic === topic && known.partition === partition);
    if (own) eventsLeft += lagOf({ offsets, nextOffset: own.from });
  }
  return { eventsLeft, percent: all === 0 ? 0 : Math.max(0, Math.floor((1 - eventsLeft / all) * 1000) / 10) };
}

/**
 * The time up to which a query has seen everything, in milliseconds since 1970; undefined where that cannot be said yet: a
 * partition has events and none of them has been read. Where all partitions are idle it goes on with the wall clock.
 * @param now milliseconds since 1970, of the clock that wrote `updatedAt`
 */
export function queryWatermark(
  plan: Pick<Plan, 'clock' | 'query'>,
  partitions: readonly PartitionState[],
  now: number,
): number | undefined {
  const topics = new Set(plan.query.from.map(({ topic }) => topic));
  const readings = partitions
    .filter(({ topic }) => topics.has(topic))
    .map((state): WatermarkReading => {
      const reading = state.watermarks.get(plan.clock);
      const silent = reading === undefined || reading.updatedAt <= now - idleAfterMs;
      return { watermark: reading?.watermark ?? Number.NEGATIVE_INFINITY, idle: silent && lagOf(state) === 0 };
    });
  const watermark = watermarkOf(readings, now - idleAfterMs);
  return watermark === Number.NEGATIVE_INFINITY ? undefined : watermark;
}
