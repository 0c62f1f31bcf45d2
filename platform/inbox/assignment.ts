import { setTimeout as sleep } from 'node:timers/promises';
import type { ConsumerHandle, IncomingBatch, KafkaAdmin, TopicPartition } from '#platform/kafka';
import type { Logger } from '#platform/telemetry';
import type { Pool } from '#platform/postgres';
import { metrics } from './metrics.ts';
import { loadOffsets, nameOf, startOf } from './offsets.ts';

const backoffMs = { first: 100, last: 5_000 };

/** Where this member is in a partition. */
export interface Position extends TopicPartition {
  /** the offset stored in the database */
  stored: bigint;
  /** the offset to be read next; behind the stored one where the log has lost its start */
  next: bigint;
  /** the offset behind the last message, as of the last fetch */
  high: bigint;
  /** whether the consumer was sent to `next` since anything was committed */
  sought: boolean;
  /** why the partition cannot be read */
  fault: string | undefined;
}

export interface AssignmentOptions {
  group: string;
  partitions: readonly TopicPartition[];
  pool: Pool;
  admin: Pick<KafkaAdmin, 'watermarks'>;
  consumer: Pick<ConsumerHandle, 'seek' | 'pause' | 'resume'>;
  log: Logger;
}

/** The partitions that the group has given to this member, from one rebalance to the next. */
export class Assignment {
  readonly #options: AssignmentOptions;
  readonly #positions: Map<string, Position>;
  readonly #end = new AbortController();

  constructor(options: AssignmentOptions) {
    this.#options = options;
    this.#positions = new Map(
      options.partitions.map(({ topic, partition }) => [
        nameOf({ topic, partition }),
        { topic, partition, stored: -1n, next: -1n, high: 0n, sought: false, fault: undefined },
      ]),
    );
  }

  /** Aborted when the assignment is over. */
  get signal(): AbortSignal {
    return this.#end.signal;
  }

  get positions(): Position[] {
    return [...this.#positions.values()];
  }

  at(partition: TopicPartition): Position | undefined {
    return this.#positions.get(nameOf(partition));
  }

  end(): void {
    this.#end.abort();
  }

  /** @throws while a partition cannot be read */
  check(): void {
    const faults = this.positions.flatMap(({ fault }) => fault ?? []);
    if (faults.length > 0) throw new Error(faults.join('; '));
  }

  /**
   * Whether a batch goes on where this member is. An offset behind `next` that comes although the consumer was sent to
   * `next` says that nothing in between can be read (it was compacted, or holds markers of transactions only): it is
   * passed over.
   */
  follows(position: Position, { fetchedOffset }: IncomingBatch): boolean {
    if (fetchedOffset > position.next && position.sought) this.#skip(position, fetchedOffset);
    return fetchedOffset === position.next;
  }

  /** Finds where partitions are to be read from, by the database, and sends the consumer there; tries until it can. */
  async locate(positions = this.positions): Promise<void> {
    const { log, group } = this.#options;
    for (let backoff = backoffMs.first; !this.signal.aborted; backoff = Math.min(backoff * 2, backoffMs.last)) {
      try {
        return await this.#locate(positions);
      } catch (error) {
        log.warn({ err: error, group, retryInMs: backoff }, 'the offsets of the inbox cannot be read');
        await sleep(backoff, undefined, { signal: this.signal }).catch(() => undefined);
      }
    }
  }

  async #locate(positions: readonly Position[]): Promise<void> {
    if (positions.length === 0) return;
    const { group, pool, admin, consumer } = this.#options;
    const topics = [...new Set(positions.map(({ topic }) => topic))];
    const marks = new Map(
      await Promise.all(topics.map(async (topic) => [topic, await admin.watermarks(topic)] as const)),
    );
    const found = positions.map((position) => {
      const watermarks = marks.get(position.topic)?.get(position.partition);
      if (!watermarks) throw new Error(`Kafka knows nothing of ${nameOf(position)}`);
      return { position, watermarks };
    });
    const starts = found.map(({ position, watermarks }) => ({ ...position, offset: watermarks.low }));
    const stored = await loadOffsets(pool, group, starts);
    if (this.signal.aborted) return;
    for (const { position, watermarks } of found) {
      position.stored = stored.get(nameOf(position))!;
      const start = startOf(position.stored, watermarks);
      if ('beyond' in start) {
        this.#refuse(position, start.beyond);
        continue;
      }
      if (position.fault) consumer.resume(position);
      position.fault = undefined;
      position.next = position.stored;
      if (start.skipped > 0n) this.#skip(position, start.next);
      position.sought = true;
      consumer.seek({ ...position, offset: position.next });
    }
  }

  #skip(position: Position, next: bigint): void {
    const { group, log } = this.#options;
    const { topic, partition } = position;
    const skipped = Number(next - position.next);
    log.warn(
      { group, topic, partition, from: String(position.next), to: String(next), skipped },
      'offsets are gone from the log, going on behind them',
    );
    metrics.skipped.inc({ group, topic }, skipped);
    position.next = next;
  }

  #refuse(position: Position, end: bigint): void {
    const { group, log, consumer } = this.#options;
    const isNews = position.fault === undefined;
    position.fault =
      `${nameOf(position)} ends at ${end}, but ${group} has read up to ${position.stored}: the topic was recreated or ` +
      'truncated. To read it from its start, delete its row of millrace.inbox_offsets';
    if (isNews) log.error({ group }, position.fault);
    consumer.pause(position);
  }
}
