import { watermarkOf } from './clocks.ts';
import type { ClockReading } from './clocks.ts';
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
export function lagOf({ offsets, nextOffset }: PartitionState): number {
  const next = nextOffset === undefined || nextOffset < offsets.low ? offsets.low : nextOffset;
  return next < offsets.high ? Number(offsets.high - next) : 0;
}

/**
 * The time up to which a query has seen everything, in milliseconds since 1970; undefined where that cannot be said yet: a
 * partition has events and none of them has been read. Where all partitions are idle it goes on with the wall clock.
 * @param now milliseconds since 1970, of the clock that wrote `updatedAt`
 */
export function completeUntil(
  plan: Pick<Plan, 'clock' | 'query'>,
  partitions: readonly PartitionState[],
  now: number,
): number | undefined {
  const topics = new Set(plan.query.from.map(({ topic }) => topic));
  const readings = partitions
    .filter(({ topic }) => topics.has(topic))
    .map((state): ClockReading => {
      const reading = state.watermarks.get(plan.clock);
      const silent = reading === undefined || reading.updatedAt <= now - idleAfterMs;
      return { watermark: reading?.watermark ?? Number.NEGATIVE_INFINITY, idle: silent && lagOf(state) === 0 };
    });
  const watermark = watermarkOf(readings, now - idleAfterMs);
  return watermark === Number.NEGATIVE_INFINITY ? undefined : watermark;
}
