import { PlatformError, toError } from '#platform/errors';
import { nameOf, readTopicLog } from '#platform/kafka';
import type { ConsumerHandle, IncomingBatch, KafkaAdmin, TopicPartition } from '#platform/kafka';
import { backoffMs, pause } from '#platform/lifecycle';
import type { Logger } from '#platform/telemetry';
import type { Pool } from '#platform/postgres';
import { databaseBackoff } from './retry-policy.ts';
import { metrics } from './metrics.ts';
import {
  isRecreated,
  isTruncated,
  loadOffsets,
  lockedOffsets,
  noteTruncated,
  offsetLocked,
  restartOffsets,
  startOf,
} from './offsets.ts';
import type { LogStart } from './offsets.ts';

/** how long an offset may be locked, in milliseconds: longer than a commit takes */
const lockedMs = 2_000;
const lockedPollMs = 100;

/**
 * What an inbox does with a topic that was deleted and created again: `refuse` reads nothing of it until somebody decides, `restart`
 * reads it from its start. Offsets count in the earlier topic, so going on at them would skip events.
 */
export type RecreatedTopics = 'refuse' | 'restart';

/** A partition of this member, and how far it is read. */
export interface AssignedPartition extends TopicPartition {
  /** the offset stored in the database, or about to be */
  stored: bigint;
  /** the last one that this member has found there, or has stored; -1 where it is to be found */
  committed: bigint;
  /** the id of the topic that it counts in; undefined where the brokers tell none */
  topicId: string | undefined;
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
  /** whether what was read of it is still being tried, beside the other partitions */
  isApart: boolean;
}

export interface AssignmentOptions {
  group: string;
  partitions: readonly TopicPartition[];
  pool: Pool;
  admin: Pick<KafkaAdmin, 'knownWatermarks' | 'topicId'>;
  recreatedTopics: RecreatedTopics;
  consumer: Pick<ConsumerHandle, 'seek' | 'pause' | 'resume'>;
  log: Logger;
}

/** The partitions that this member owns from one rebalance to the next. */
export class Assignment {
  readonly #options: AssignmentOptions;
  readonly #positions: Map<string, AssignedPartition>;
  readonly #end = new AbortController();
  /** why the stored offsets cannot be loaded */
  #failure: Error | undefined;

  constructor(options: AssignmentOptions) {
    this.#options = options;
    this.#positions = new Map(
      options.partitions.map(({ topic, partition }) => [
        nameOf({ topic, partition }),
        {
          topic,
          partition,
          stored: -1n,
          committed: -1n,
          topicId: undefined,
          next: -1n,
          high: 0n,
          sought: false,
          passed: undefined,
          error: undefined,
          isApart: false,
        },
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
    if (!position || this.signal.aborted) return;
    position.error = `waits: ${reason}`;
    this.#options.consumer.pause(position);
  }

  /** Reads nothing more of a partition until what was read of it is done; then it goes on at the stored offset. */
  async holdUntil(done: Promise<void>, partition: TopicPartition, reason: string): Promise<void> {
    const position = this.at(partition);
    if (!position) return done;
    this.hold(position, reason);
    position.isApart = true;
    await done;
    position.isApart = false;
    await this.locate([position]);
  }

  /** @throws while a partition cannot be read */
  check(): void {
    if (this.#failure) {
      const { group } = this.#options;
      throw new PlatformError(
        'ERR_INBOX_NOT_LOCATED',
        `the offsets of ${group} cannot be loaded: ${this.#failure.message}`,
        { cause: this.#failure },
      );
    }
    const unreadable = this.positions.filter(({ error }) => error !== undefined);
    if (unreadable.length > 0)
      throw new PlatformError('ERR_INBOX_PARTITION_UNREADABLE', sentencesOf(unreadable).join('; '));
  }

  /**
   * Whether a batch begins at the next offset, or after records that are not for consumers. If a higher offset comes although
   * the consumer sought to `next`, the log has no readable records in between (it was compacted): the inbox skips them.
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
  async locate(positions: readonly AssignedPartition[] = this.positions): Promise<void> {
    const { log, group } = this.#options;
    for (let failures = 1; !this.signal.aborted; failures += 1) {
      try {
        await this.#locate(positions);
        this.#failure = undefined;
        return;
      } catch (error) {
        this.#failure = toError(error);
        const retryInMs = backoffMs(failures, databaseBackoff);
        log[failures === 1 ? 'warn' : 'debug']({ err: error, group, retryInMs }, 'the inbox cannot load its offsets');
        await pause(retryInMs, this.signal);
      }
    }
  }

  async #locate(all: readonly AssignedPartition[]): Promise<void> {
    const positions = await this.#withoutLocked(all);
    if (positions.length === 0) return;
    const { group, pool, consumer } = this.#options;
    let logs = await this.#askLogs(positions);
    const starts = logs.map(({ watermarks, ...log }): LogStart => ({ ...log, offset: watermarks.low }));
    let stored = await loadOffsets(pool, group, starts);
    const recreated = starts.filter((start) => isRecreated(stored.get(nameOf(start))!.topicId, start.topicId));
    if (recreated.length > 0 && this.#options.recreatedTopics === 'restart') {
      await restartOffsets(pool, group, recreated);
      stored = await loadOffsets(pool, group, starts);
    }
    if (this.signal.aborted) return;
    const beyondEnd = () => logs.filter(({ watermarks, ...log }) => stored.get(nameOf(log))!.offset > watermarks.high);
    // the log may have grown, and another member have moved the offset, between the two questions
    if (beyondEnd().length > 0) logs = await this.#askLogs(positions);
    const beyond = beyondEnd();
    await noteTruncated(pool, group, beyond);
    if (this.signal.aborted) return;
    const refused: AssignedPartition[] = [];
    const refuse = (position: AssignedPartition, reason: string): void => {
      if (position.error === undefined) refused.push(position);
      position.error = `is not read: ${reason}. Decide: ${decisionOf(group, position.topic)}`;
      consumer.pause(position);
    };
    for (const { watermarks, ...log } of logs) {
      const position = this.at(log)!;
      if (position.isApart) continue; // it is located when that is done
      const { offset, topicId } = stored.get(nameOf(log))!;
      Object.assign(position, { stored: offset, committed: offset, topicId });
      if (isRecreated(topicId, log.topicId)) {
        const what = isTruncated(topicId) ? 'truncated or restored' : 'created again';
        refuse(position, `the topic was ${what} after ${group} had read it`);
        continue;
      }
      const start = startOf(position.stored, watermarks);
      if ('beyond' in start) {
        refuse(
          position,
          `it ends at ${start.beyond}, and ${group} has read up to ${offset}: the topic was truncated or restored`,
        );
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
    for (const sentence of sentencesOf(refused)) this.#options.log.error({ group }, sentence);
  }

  /**
   * Holds the partitions whose offset another session has locked for longer than a commit takes, most likely one that hangs in the
   * server: the others do not wait for it.
   */
  async #withoutLocked(positions: readonly AssignedPartition[]): Promise<readonly AssignedPartition[]> {
    const { group, pool } = this.#options;
    for (const end = performance.now() + lockedMs; positions.length > 0; await pause(lockedPollMs, this.signal)) {
      const locked = new Set(await lockedOffsets(pool, group, positions));
      if (locked.size === 0) break;
      if (performance.now() < end && !this.signal.aborted) continue;
      for (const position of locked) this.#holdAlone(position, offsetLocked);
      return positions.filter((position) => !locked.has(position));
    }
    return positions;
  }

  #holdAlone(position: AssignedPartition, reason: string): void {
    const { group, log } = this.#options;
    const { topic, partition, error } = position;
    if (error === undefined)
      log.warn({ group, topic, partition }, `a partition waits: ${reason}. The others go on without it`);
    this.hold(position, reason);
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

  async #askLogs(positions: readonly AssignedPartition[]) {
    const { admin } = this.#options;
    const topics = [...new Set(positions.map(({ topic }) => topic))];
    const known = new Map(
      await Promise.all(
        topics.map(async (topic) => {
          return [topic, await readTopicLog(admin, topic, (name) => admin.knownWatermarks(name))] as const;
        }),
      ),
    );
    return positions.flatMap((position) => {
      const { topic, partition } = position;
      const { topicId, watermarks: marks } = known.get(topic)!;
      if (!marks.has(partition))
        throw new PlatformError('ERR_INBOX_PARTITION_UNKNOWN', `Kafka has no partition ${nameOf(position)}`);
      const watermarks = marks.get(partition);
      if (watermarks) return { topic, partition, topicId, watermarks };
      this.#holdAlone(position, 'it has no leader');
      return [];
    });
  }
}

const decisionOf = (group: string, topic: string) =>
  `npm run offsets -- restart ${group} ${topic} reads it from its start, npm run offsets -- end ${group} ${topic} from its end`;

/** What is wrong with partitions, a sentence for those of a topic with the same fault. */
function sentencesOf(positions: readonly AssignedPartition[]): string[] {
  const groups = Map.groupBy(positions, ({ topic, error }) => JSON.stringify([topic, error]));
  return [...groups.values()].map((same) => {
    const [{ topic, error }] = same as [AssignedPartition];
    return `${topic}/${same.map(({ partition }) => partition).join(',')} ${error}`;
  });
}
