/** How far one partition has come by one clock. */
export interface ClockWatermark {
  topic: string;
  partition: number;
  clock: string;
  /** the latest event time, in milliseconds since 1970 */
  watermark: number;
}

/** The clocks of one partition. Watermarks only grow. */
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

  /** Moves a clock on to a time, or leaves it where it is ahead. */
  advance(clock: string, time: number): void {
    if (time > this.of(clock)) this.#watermarks.set(clock, time);
  }

  /** The latest time of a clock; minus infinity where it has seen none. */
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

/** What a partition's clock stands at, and whether more is known to come soon. */
export interface WatermarkReading {
  watermark: number;
  /** read to its end, and silent for a while since */
  idle: boolean;
}

/**
 * The time up to which a stream of several partitions is complete: the least watermark of those that are not idle. Where
 * all are idle nothing older is on its way, and the stream is complete up to `quietSince`.
 */
export function watermarkOf(readings: readonly WatermarkReading[], quietSince: number): number | undefined {
  if (readings.length === 0) return undefined;
  const busy = readings.filter(({ idle }) => !idle);
  if (busy.length > 0) return Math.min(...busy.map(({ watermark }) => watermark));
  return Math.max(quietSince, ...readings.map(({ watermark }) => watermark));
}
