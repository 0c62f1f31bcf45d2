/** The watermark of one partition by one clock. */
export interface ClockWatermark {
  topic: string;
  partition: number;
  clock: string;
  /** the latest event time, in milliseconds since 1970 */
  watermark: number;
}

/** The watermarks of one partition, by clock. They only grow. */
export class PartitionWatermarks {
  readonly topic: string;
  readonly partition: number;
  readonly #watermarks: Map<string, number>;

  constructor(
    topic: string,
    partition: number,
    watermarks: Iterable<readonly [clock: string, watermark: number]> = [],
  ) {
    this.topic = topic;
    this.partition = partition;
    this.#watermarks = new Map(watermarks);
  }

  /** Advances the watermark of a clock to a time, unless it is later already. */
  advance(clock: string, time: number): void {
    if (time > this.of(clock)) this.#watermarks.set(clock, time);
  }

  /** The watermark of a clock; minus infinity before its first event. */
  of(clock: string): number {
    return this.#watermarks.get(clock) ?? Number.NEGATIVE_INFINITY;
  }

  copy(): PartitionWatermarks {
    return new PartitionWatermarks(this.topic, this.partition, this.#watermarks);
  }

  entries(): ClockWatermark[] {
    const { topic, partition } = this;
    return [...this.#watermarks].map(([clock, watermark]) => ({ topic, partition, clock, watermark }));
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
