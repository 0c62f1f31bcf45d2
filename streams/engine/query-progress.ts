import { watermarkOf } from './watermarks.ts';
import type { WatermarkReading } from './watermarks.ts';
import type { Plan } from './plan.ts';

/** The watermarks of a partition in Kafka. */
export interface Offsets {
  low: bigint;
  high: bigint;
}

/** The state of a partition: Kafka's offsets, the stored offset, and the event-time watermarks by clock. */
export interface PartitionState {
  topic: string;
  partition: number;
  offsets: Offsets;
  nextOffset: bigint | undefined;
  watermarks: ReadonlyMap<string, { watermark: number; updatedAt: number }>;
}

/** What is known of the partitions at a time. */
export interface Observation {
  /** the database's time, in milliseconds since 1970 */
  now: number;
  partitions: readonly PartitionState[];
  /** the topics whose partitions these are; default: all. Of others Kafka tells nothing: a partition of them has no leader, for example */
  known?: ReadonlySet<string>;
}

/** Whether each topic that a query reads is known. */
export function isObserved({ query }: Pick<Plan, 'query'>, { known }: Observation): boolean {
  return known === undefined || query.from.every(({ topic }) => known.has(topic));
}

/** After this time without events, a partition that is read to its end is idle: it does not hold windows open. */
export const idleAfterMs = 30_000;

/** How many events of a partition are not counted yet. */
export function lagOf({ offsets, nextOffset }: Pick<PartitionState, 'offsets' | 'nextOffset'>): number {
  const next = nextOffset === undefined || nextOffset < offsets.low ? offsets.low : nextOffset;
  return next < offsets.high ? Number(offsets.high - next) : 0;
}

/** The progress of a version that is being built. */
export interface BuildProgress {
  /** events that it has to read before it serves */
  eventsLeft: number;
  /** of all events of its topics, with one decimal place */
  percent: number;
}

/** @param behind the partitions that the backfill reads for the version, and their next offsets */
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
 * The watermark of a query: it has seen all events up to this time, in milliseconds since 1970. Undefined while a partition
 * has events and none of them is read, or a topic is not known. If all partitions are idle, the watermark follows the wall clock.
 */
export function queryWatermark(plan: Pick<Plan, 'clock' | 'query'>, observation: Observation): number | undefined {
  return watermarkSince(plan, observation, observation.now - idleAfterMs);
}

/**
 * The watermark of a query by its events alone: in a quiet time it stands still. A stream of past events does not come to the
 * present by it.
 */
export function eventWatermark(plan: Pick<Plan, 'clock' | 'query'>, observation: Observation): number | undefined {
  return watermarkSince(plan, observation, Number.NEGATIVE_INFINITY);
}

/** @param quietSince the least watermark if all partitions are idle */
function watermarkSince(
  plan: Pick<Plan, 'clock' | 'query'>,
  observation: Observation,
  quietSince: number,
): number | undefined {
  if (!isObserved(plan, observation)) return undefined;
  const { partitions, now } = observation;
  const topics = new Set(plan.query.from.map(({ topic }) => topic));
  const readings = partitions
    .filter(({ topic }) => topics.has(topic))
    .map((state): WatermarkReading => {
      const reading = state.watermarks.get(plan.clock);
      const silent = reading === undefined || reading.updatedAt <= now - idleAfterMs;
      return { watermark: reading?.watermark ?? Number.NEGATIVE_INFINITY, idle: silent && lagOf(state) === 0 };
    });
  const watermark = watermarkOf(readings, quietSince);
  return watermark === Number.NEGATIVE_INFINITY ? undefined : watermark;
}
