/** The watermark of one partition by one clock. */
export interface ClockWatermark {
  topic: string;
  partition: number;
  clock: string;
  /** the latest event time, in milliseconds since 1970 */
  watermark: number;
}

/** The watermarks of one partition, by clock. They only grow. A clock is active when it has had an event, newer or not. */
export class PartitionWatermarks {
  readonly topic: string;
  readonly partition: number;
  readonly #clocks: Map<string, { watermark: number; isActive: boolean }>;

  constructor(
    topic: string,
    partition: number,
    watermarks: Iterable<readonly [clock: string, watermark: number]> = [],
  ) {
    this.topic = topic;
    this.partition = partition;
    this.#clocks = new Map([...watermarks].map(([clock, watermark]) => [clock, { watermark, isActive: false }]));
  }

  /** Advances the watermark of a clock to the time of an event, unless it is later already. */
  advance(clock: string, time: number): void {
    const known = this.#clocks.get(clock);
    if (known === undefined) this.#clocks.set(clock, { watermark: time, isActive: true });
    else {
      known.isActive = true;
      if (time > known.watermark) known.watermark = time;
    }
  }

  /** The watermark of a clock; minus infinity before its first event. */
  of(clock: string): number {
    return this.#clocks.get(clock)?.watermark ?? Number.NEGATIVE_INFINITY;
  }

  copy(): PartitionWatermarks {
    const copy = this.inactive();
    for (const [clock, { isActive }] of this.#clocks) copy.#clocks.get(clock)!.isActive = isActive;
    return copy;
  }

  /** A copy in which no clock is active yet. */
  inactive(): PartitionWatermarks {
    const watermarks = [...this.#clocks].map(([clock, { watermark }]) => [clock, watermark] as const);
    return new PartitionWatermarks(this.topic, this.partition, watermarks);
  }

  entries(): ClockWatermark[] {
    return this.#those(() => true);
  }

  /** Those of the active clocks. */
  activeEntries(): ClockWatermark[] {
    return this.#those(({ isActive }) => isActive);
  }

  #those(isWanted: (clock: { isActive: boolean }) => boolean): ClockWatermark[] {
    const { topic, partition } = this;
    return [...this.#clocks].flatMap(([clock, known]) =>
      isWanted(known) ? [{ topic, partition, clock, watermark: known.watermark }] : [],
    );
  }
}

/** The watermark of a partition, and whether the partition is idle. */
export interface WatermarkReading {
  watermark: number;
  /** read to its end, and silent for a while since */
  idle: boolean;
}

/**
 * The watermark of a stream of several partitions: the lowest watermark of those that are not idle. If all are idle, no
 * older event is on its way, and the watermark is at least `quietSince`.
 */
export function watermarkOf(readings: readonly WatermarkReading[], quietSince: number): number | undefined {
  if (readings.length === 0) return undefined;
  const busy = readings.filter(({ idle }) => !idle);
  if (busy.length > 0) return Math.min(...busy.map(({ watermark }) => watermark));
  return Math.max(quietSince, ...readings.map(({ watermark }) => watermark));
}
