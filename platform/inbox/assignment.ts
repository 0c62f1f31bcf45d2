import { PlatformError } from '#platform/errors';
import type { ConsumerHandle, IncomingBatch, KafkaAdmin, TopicPartition } from '#platform/kafka';
import { backoffMs, pause } from '#platform/lifecycle';
import type { Logger } from '#platform/telemetry';
import type { Pool } from '#platform/postgres';
import { databaseBackoff } from './retry-policy.ts';
import { metrics } from './metrics.ts';
import { loadOffsets, nameOf, startOf } from './offsets.ts';

/** A partition of this member, and how far it is read. */
export interface AssignedPartition extends TopicPartition {
  /** the offset stored in the database */
  stored: bigint;
  /** the next offset to read; higher than the stored one where the log has lost its start */
  next: bigint;
  /** the high watermark of the last fetch */
  high: bigint;
  /** whether the consumer has been told to seek to `next` since the last commit */
  sought: boolean;
  /** the offsets after the handled messages that the consumer has read and that have no message for it */
  passed: { from: bigint; to: bigint } | undefined;
  /** why the partition cannot be read */
  error: string | undefined;
}

export interface AssignmentOptions {
  group: string;
  partitions: readonly TopicPartition[];
  pool: Pool;
  admin: Pick<KafkaAdmin, 'watermarks'>;
  consumer: Pick<ConsumerHandle, 'seek' | 'pause' | 'resume'>;
  log: Logger;
}

/** The partitions that this member owns from one rebalance to the next. */
export class Assignment {
  readonly #options: AssignmentOptions;
  readonly #positions: Map<string, AssignedPartition>;
  readonly #end = new AbortController();

  constructor(options: AssignmentOptions) {
    this.#options = options;
    this.#positions = new Map(
      options.partitions.map(({ topic, partition }) => [
        nameOf({ topic, partition }),
        { topic, partition, stored: -1n, next: -1n, high: 0n, sought: false, passed: undefined, error: undefined },
      ]),
    );
  }

  /** Aborted when the assignment ends. */
  get signal(): AbortSignal {
    return this.#end.signal;
  }

  get positions(): AssignedPartition[] {
    return [...this.#positions.values()];
  }

  at(partition: TopicPartition): AssignedPartition | undefined {
    return this.#positions.get(nameOf(partition));
  }

  end(): void {
    this.#end.abort();
  }

  /** Reads nothing more of a partition until it is located again. */
  hold(partition: TopicPartition, reason: string): void {
    const position = this.at(partition);
    if (!position) return;
    position.error = `${nameOf(position)} waits: ${reason}`;
    this.#options.consumer.pause(position);
  }

  /** @throws while a partition cannot be read */
  check(): void {
    const errors = this.positions.flatMap(({ error }) => error ?? []);
    if (errors.length > 0) throw new PlatformError('ERR_INBOX_PARTITION_UNREADABLE', errors.join('; '));
  }

  /**
   * Whether a batch begins at the next offset, or after records that are not for consumers. If a higher offset comes although the consumer sought to `next`, the log
   * has no readable records in between (it was compacted, or holds only transaction markers): the inbox skips them.
   */
  follows(position: AssignedPartition, { fetchedOffset }: IncomingBatch): boolean {
    const { passed } = position;
    if (passed?.from === position.next && passed.to === fetchedOffset) position.next = fetchedOffset;
    else if (fetchedOffset > position.next && position.sought) this.#skip(position, fetchedOffset);
    return fetchedOffset === position.next;
  }

  /** Notes that the consumer has read up to an offset without a message. */
  pass({ offset, ...partition }: TopicPartition & { offset: bigint }): void {
    const position = this.at(partition);
    if (position && position.next >= 0n && offset > position.next)
      position.passed = { from: position.next, to: offset };
  }

  /** Loads the stored offsets of partitions and tells the consumer to seek to them; tries until it succeeds. */
  async locate(positions = this.positions): Promise<void> {
    const { log, group } = this.#options;
    for (let failures = 1; !this.signal.aborted; failures += 1) {
      try {
        return await this.#locate(positions);
      } catch (error) {
        const retryInMs = backoffMs(failures, databaseBackoff);
        log[failures === 1 ? 'warn' : 'debug']({ err: error, group, retryInMs }, 'the inbox cannot load its offsets');
        await pause(retryInMs, this.signal);
      }
    }
  }

  async #locate(positions: readonly AssignedPartition[]): Promise<void> {
    if (positions.length === 0) return;
    const { group, pool, admin, consumer } = this.#options;
    const topics = [...new Set(positions.map(({ topic }) => topic))];
    const marks = new Map(
      await Promise.all(topics.map(async (topic) => [topic, await admin.watermarks(topic)] as const)),
    );
    const found = positions.map((position) => {
      const watermarks = marks.get(position.topic)?.get(position.partition);
      if (!watermarks)
        throw new PlatformError('ERR_INBOX_PARTITION_UNKNOWN', `Kafka has no partition ${nameOf(position)}`);
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
      if (position.error) consumer.resume(position);
      position.error = undefined;
      position.next = position.stored;
      position.passed = undefined;
      if (start.skipped > 0n) this.#skip(position, start.next);
      position.sought = true;
      consumer.seek({ ...position, offset: position.next });
    }
  }

  #skip(position: AssignedPartition, next: bigint): void {
    const { group, log } = this.#options;
    const { topic, partition } = position;
    const skipped = Number(next - position.next);
    log.warn(
      { group, topic, partition, from: String(position.next), to: String(next), skipped },
      'the log no longer has these offsets: the inbox skips them',
    );
    metrics.skipped.inc({ group, topic }, skipped);
    position.next = next;
  }

  #refuse(position: AssignedPartition, end: bigint): void {
    const { group, log, consumer } = this.#options;
    const isNews = position.error === undefined;
    position.error =
      `${nameOf(position)} ends at ${end}, but ${group} has read up to ${position.stored}: the topic was recreated or ` +
      'truncated. To read it from its start, delete its row of millrace.inbox_offsets';
    if (isNews) log.error({ group }, position.error);
    consumer.pause(position);
  }
}
