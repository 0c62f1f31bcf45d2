import { PlatformError } from '#platform/errors';
import type { DecodeEvent } from '#platform/contract';
import type { Health } from '#platform/health';
import { nameOf } from '#platform/kafka';
import type { ConsumerHandle, IncomingBatch, IncomingMessage, Kafka, TopicPartition } from '#platform/kafka';
import type { Logger } from '#platform/telemetry';
import type { Pool, PoolClient } from '#platform/postgres';
import type { Accumulator } from './accumulation.ts';
import { AccumulatingWriter } from './accumulating-writer.ts';
import { Assignment } from './assignment.ts';
import type { AssignedPartition, RecreatedTopics } from './assignment.ts';
import { writeDeadLetters } from './dead-letters.ts';
import type { DeadLetterWriter } from './dead-letters.ts';
import { endItem, toItem } from './item.ts';
import type { Item } from './item.ts';
import { metrics } from './metrics.ts';
import { ProgressProbe } from './progress-probe.ts';
import { DeadLetterReplay } from './replay.ts';
import type { Committed, Sink } from './partition-batch.ts';
import { Writer } from './writer.ts';
import type { Handle, WriterOptions } from './writer.ts';

const heartbeatMs = 1_000;
const commitOffsetsMs = 2_000;
const recheckMs = 5_000;
/** how many events of a partition are measured at a commit, at most */
const latencySamples = 100;

export interface InboxOptions {
  group: string;
  topics: readonly string[];
  /** the database of the effects */
  pool: Pool;
  kafka: Kafka;
  log: Logger;
  health: Health;
  /** applies the events of one transaction, in the order of each partition; it ignores types that it does not know */
  handle: Handle;
  /** applies the events of dead letters that are replayed, whose offsets may be those of an earlier topic; default: `handle` */
  replay?: Handle;
  /** decodes a message into an event */
  decode: DecodeEvent<IncomingMessage>;
  /** how long a partition with something to read may be without progress before health says so, in milliseconds; default 15,000 */
  stuckMs?: number;
  /** the consumer's session timeout */
  sessionMs?: number;
  /** collects the effects of many events in memory; default: `handle` writes the effects of each transaction */
  accumulator?: Accumulator;
  /** called after each commit */
  onCommitted?: () => void;
  /** the most messages of a batch, and without an accumulator of a transaction; default 1,000 */
  maxBatch?: number;
  /**
   * The least time from the start of one transaction to the next, in milliseconds; default 0. After a pause, an event is
   * applied at once; the events that follow wait, so that they share the cost of a transaction.
   */
  lingerMs?: number;
  /**
   * `live` (the default) or `backfill`: another group of the service handles these messages live, and this one reads them
   * again. A backfill traces nothing, measures no latency, and skips a message that it cannot handle, because the live
   * group keeps it as a dead letter.
   */
  mode?: 'live' | 'backfill';
  /** called by a backfill with the messages that it cannot handle, before their effects, in the transaction that moves its offsets past them */
  onSkipped?: (tx: PoolClient, messages: readonly IncomingMessage[]) => Promise<void>;
  /** default `refuse` */
  recreatedTopics?: RecreatedTopics;
}

interface Pending {
  batch: IncomingBatch;
  fail: (error: unknown) => void;
}

/**
 * Processes the events of topics exactly once: one transaction writes their effects and moves the group's offsets. Any
 * number of processes can run the same inbox: Kafka assigns the partitions, and the compare-and-set of the offsets rolls
 * back the transaction of a member that has lost a partition without noticing.
 *
 * With `handle`, the messages of a key take effect in order: while one is a dead letter, the later ones of its key wait behind
 * it (`arrangeKeys`). The effects of an accumulator are sums, which have no order, and a backfill keeps no dead letters: there no
 * message waits.
 */
export class Inbox {
  readonly #options: InboxOptions;
  readonly #consumer: ConsumerHandle;
  readonly #writer: Sink;
  readonly #replay: DeadLetterReplay | undefined;
  readonly #probe: ProgressProbe;
  readonly #pending = new Set<Pending>();
  #assignment: Assignment | undefined;
  #located: Promise<void> | undefined;
  #timers: NodeJS.Timeout[] = [];
  /** what goes on beside the batches; `stop` waits for it */
  readonly #underWay = new Set<Promise<unknown>>();
  #stopping = false;
  /** when effects of messages were last committed, by the clock of `performance.now()` */
  #lastCommitAt = Number.NEGATIVE_INFINITY;
  #isRechecking = false;
  /** the offsets that Kafka does not know yet, by partition */
  readonly #uncommitted = new Map<string, TopicPartition & { offset: bigint }>();

  constructor(options: InboxOptions) {
    this.#options = options;
    const {
      group,
      topics,
      pool,
      kafka,
      log,
      health,
      handle,
      replay = handle,
      accumulator,
      maxBatch = 1_000,
      lingerMs = 0,
      mode = 'live',
      onSkipped,
    } = options;
    const isBackfill = mode === 'backfill';
    const onCommitted = (committed: readonly Committed[]) => this.#onCommitted(committed);
    const skip: DeadLetterWriter = async (tx, _, items) =>
      onSkipped?.(
        tx,
        items.map(({ message }) => message),
      );
    const deadLetterWriter = isBackfill ? skip : writeDeadLetters;
    const onRefused: WriterOptions['onRefused'] = (partition, reason, done) => {
      if (done) void this.#follow(this.#assignment?.holdUntil(done, partition, reason) ?? done);
      else this.#assignment?.hold(partition, reason);
    };
    const writer = new Writer({
      group,
      pool,
      log,
      handle,
      deadLetterWriter,
      keepsOrder: !accumulator && !isBackfill,
      maxBatch,
      lingerMs,
      onCommitted,
      onRefused,
    });
    this.#writer = accumulator
      ? new AccumulatingWriter({
          group,
          pool,
          log,
          accumulator,
          lingerMs,
          fallback: writer,
          deadLetterWriter,
          onCommitted,
          onRefused,
          onDiscarded: () => this.#onDiscarded(),
        })
      : writer;
    if (!isBackfill)
      this.#replay = new DeadLetterReplay({
        ...options,
        handle: replay,
        lastCommitAt: () => this.#lastCommitAt,
      });
    this.#consumer = kafka.consumer({
      group,
      topics,
      from: 'earliest',
      ...(options.sessionMs !== undefined && { sessionMs: options.sessionMs }),
      ...(accumulator && { concurrency: 1 }), // an accumulator accepts a batch at once
      onAssigned: (partitions) => this.#onAssigned(partitions),
      onPassed: (position) => this.#assignment?.pass(position),
      onBatch: (batch) => this.#onBatch(batch),
    });
    this.#probe = new ProgressProbe({
      group,
      topics: () => topics.filter((topic) => !this.#consumer.missingTopics.includes(topic)),
      pool,
      admin: kafka.admin,
      positions: () => this.#assignment?.positions ?? [],
      waitsFor: (partition) => this.#consumer.waitsFor(partition),
      onDisplaced: (partitions) => this.#locateAgain(partitions),
      log,
      stuckMs: options.stuckMs,
    });
    health.addWork(`inbox ${group}`, () => {
      this.#consumer.checkJoined();
      this.#writer.check();
      this.#replay?.check();
      this.#assignment?.check();
      this.#probe.check();
      this.#consumer.checkTopics();
    });
    health.addLiveness(`inbox ${group}`, () => this.#consumer.checkAlive());
  }

  start(): void {
    if (this.#stopping || this.#timers.length > 0) return;
    this.#timers = [
      setInterval(() => void this.#follow(this.#heartbeat()), heartbeatMs),
      setInterval(() => void this.#follow(this.#commitOffsets()), commitOffsetsMs),
      setInterval(() => void this.#follow(this.#recheck()), recheckMs),
    ];
    this.#consumer.start();
    this.#replay?.start();
    this.#probe.start();
  }

  /** Finishes the running transaction, leaves the group and stops; no timer and no request is left. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#assignment?.end();
    const probing = this.#probe.stop(); // its request may outlast the membership
    await this.#replay?.stop();
    await this.#writer.idle();
    await this.#commitOffsets();
    await this.#consumer.stop();
    await Promise.allSettled(this.#underWay);
    await probing;
    this.#forgetLag();
  }

  /** Lets a stop wait for work that nobody else waits for. */
  #follow<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work);
    const forget = () => this.#underWay.delete(work);
    work.then(forget, forget);
    return work;
  }

  #forgetLag(): void {
    const { group } = this.#options;
    for (const { topic, partition } of this.#assignment?.positions ?? [])
      metrics.lag.remove({ group, topic, partition });
  }

  #onAssigned(partitions: TopicPartition[]): void {
    // the group may be reshuffled until this member has left it; what it is given then, others will have
    if (this.#stopping) return;
    const { group, pool, kafka, log } = this.#options;
    this.#assignment?.end();
    this.#forgetLag();
    this.#uncommitted.clear();
    const { recreatedTopics = 'refuse' } = this.#options;
    const consumer = this.#consumer;
    const assignment = new Assignment({
      group,
      partitions,
      pool,
      log,
      admin: kafka.admin,
      consumer,
      recreatedTopics,
    });
    this.#assignment = assignment;
    this.#located = this.#follow(this.#writer.idle().then(() => assignment.locate()));
  }

  /** Resolves when the batch is committed or discarded; until then `#heartbeat` keeps this member in the group. */
  #onBatch(batch: IncomingBatch): Promise<boolean> {
    return new Promise((resolve, fail) => {
      const pending = { batch, fail };
      this.#pending.add(pending);
      this.#follow(this.#process(batch))
        .then(resolve, fail)
        .finally(() => this.#pending.delete(pending));
    });
  }

  async #process(batch: IncomingBatch): Promise<boolean> {
    const assignment = this.#assignment;
    if (!assignment) return false;
    await this.#located;
    const position = assignment.at(batch);
    if (!position || position.error || batch.isStale() || assignment.signal.aborted) return false;
    if (!assignment.follows(position, batch)) {
      await assignment.locate([position]);
      return false;
    }
    const { group, decode, maxBatch = 1_000, mode } = this.#options;
    const { topic, partition, messages } = batch;
    position.high = batch.highWatermark;
    let expected = position.stored;
    for (let i = 0; i < messages.length; i += maxBatch) {
      const items = messages
        .slice(i, i + maxBatch)
        .map((message) => toItem(message, group, decode, mode !== 'backfill'));
      const next = messages[i + maxBatch]?.offset ?? batch.nextOffset;
      const committed = await this.#writer.write(
        { topic, partition, expected, next, topicId: position.topicId, items },
        assignment.signal,
        Math.max(0, Number(batch.highWatermark - next)),
      );
      if (!committed) {
        for (const item of items)
          endSpan(item, new PlatformError('ERR_INBOX_NOT_COMMITTED', 'not committed by this member of the group'));
        if (!position.error) await assignment.locate([position]); // else it waits for the next recheck
        return false;
      }
      if (position.stored !== expected) return false; // `locate` has moved the position meanwhile
      Object.assign(position, { stored: next, next, sought: false });
      expected = next;
    }
    return true;
  }

  /** Reads again from the stored offsets; what waits is rechecked by itself, and holds up nothing here. */
  #onDiscarded(): void {
    this.#locateAgain(this.#assignment?.positions.filter(({ error }) => error === undefined) ?? []);
  }

  #locateAgain(partitions: readonly AssignedPartition[]): void {
    const assignment = this.#assignment;
    if (assignment && !assignment.signal.aborted) this.#located = this.#follow(assignment.locate(partitions));
  }

  #onCommitted(committed: readonly Committed[]): void {
    const { group, onCommitted, log, mode } = this.#options;
    const isBackfill = mode === 'backfill';
    const now = Date.now();
    let size = 0;
    for (const { topic, partition, next, messages, times, items } of committed) {
      if (times.length > 0) this.#lastCommitAt = performance.now();
      const latency = metrics.latency.labels({ group, topic });
      const step = Math.ceil(times.length / latencySamples);
      for (let i = isBackfill ? times.length : 0; i < times.length; i += step)
        latency.observe(Math.max(0, now - times[i]!) / 1_000);
      for (const item of items) {
        if (item.isWaiting) metrics.waiting.inc({ group, topic });
        else if (item.failure && !isBackfill) metrics.deadLetters.inc({ group, topic });
        else if (!item.event && !item.failure) metrics.tombstones.inc({ group, topic });
        const { unreadable, offset } = item.message;
        if (unreadable && !isBackfill)
          log.error(
            { group, topic, partition, from: String(offset), to: String(unreadable.last), err: unreadable.error },
            'records cannot be read: the inbox passes them, and a dead letter says where they are',
          );
        endSpan(item);
      }
      metrics.processed.inc({ group, topic }, messages);
      const position = this.#assignment?.at({ topic, partition });
      if (position) position.committed = next;
      const high = position?.high ?? next;
      metrics.lag.set({ group, topic, partition }, Math.max(0, Number(high - next)));
      this.#uncommitted.set(nameOf({ topic, partition }), { topic, partition, offset: next });
      size += messages;
    }
    metrics.batchSize.observe({ group }, size);
    try {
      onCommitted?.();
    } catch (error) {
      log.error({ err: error, group }, 'the callback after a commit failed');
    }
  }

  /** Keeps this member in the group while batches take long. Where it has lost its partitions, the batches are discarded. */
  async #heartbeat(): Promise<void> {
    const [pending] = this.#pending;
    if (!pending) return;
    try {
      await pending.batch.heartbeat();
    } catch (error) {
      this.#assignment?.end();
      for (const { fail } of this.#pending) fail(error);
    }
  }

  async #commitOffsets(): Promise<void> {
    const offsets = [...this.#uncommitted.values()];
    this.#uncommitted.clear();
    try {
      await this.#consumer.commit(offsets);
    } catch (error) {
      this.#options.log.debug(
        { err: error, group: this.#options.group },
        'Kafka did not accept the offsets; only tools that show lag use them',
      );
    }
  }

  /** One at a time: the database or Kafka may take long. */
  async #recheck(): Promise<void> {
    const unreadable = this.#assignment?.positions.filter(({ error, isApart }) => error && !isApart) ?? [];
    if (unreadable.length === 0 || this.#isRechecking) return;
    this.#isRechecking = true;
    await this.#assignment?.locate(unreadable);
    this.#isRechecking = false;
  }
}

function endSpan(item: Item, error?: Error): void {
  endItem(item, error);
  item.span = undefined;
}
