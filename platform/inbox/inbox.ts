import type { DecodeEvent } from '#platform/contract';
import type { Health } from '#platform/health';
import type { ConsumerHandle, IncomingBatch, IncomingMessage, Kafka, TopicPartition } from '#platform/kafka';
import type { Logger } from '#platform/telemetry';
import type { Pool } from '#platform/postgres';
import type { Accumulator } from './accumulation.ts';
import { AccumulatingWriter } from './accumulating-writer.ts';
import { Assignment } from './assignment.ts';
import { bury } from './dead-letters.ts';
import type { Bury } from './dead-letters.ts';
import { endItem, toItem } from './item.ts';
import type { Item } from './item.ts';
import { metrics } from './metrics.ts';
import { DeadLetterReplay } from './replay.ts';
import type { Committed, Sink } from './slice.ts';
import { Writer } from './writer.ts';
import type { Handle } from './writer.ts';

const heartbeatMs = 1_000;
const hintMs = 2_000;
const recheckMs = 5_000;
/** events of a partition whose latency is measured at a commit, at most */
const latencySamples = 100;

export interface InboxOptions {
  group: string;
  topics: readonly string[];
  /** the database that holds the effects */
  pool: Pool;
  kafka: Kafka;
  log: Logger;
  health: Health;
  /** applies events, of one transaction, in the order of each partition; of types it does not know it takes no notice */
  handle: Handle;
  /** reads messages as events */
  decode: DecodeEvent<IncomingMessage>;
  /** as the consumer's */
  sessionMs?: number;
  /** gathers the effects of many events before they are written; default: `handle` writes those of each transaction */
  accumulator?: Accumulator;
  /** called after each commit */
  onCommitted?: () => void;
  /** messages that are taken at once, without an accumulator also those of a transaction; default 1,000 */
  maxBatch?: number;
  /**
   * The least time from one transaction to the next, in milliseconds; default 0. An event that comes alone is applied at
   * once all the same; where nobody waits for a single event, those that follow share the cost of a transaction.
   */
  restMs?: number;
  /**
   * That another group of the service handles these messages, and this one only reads them again: it traces nothing, and
   * passes over what it cannot handle, which the other group keeps as a dead letter.
   */
  rereads?: boolean;
}

interface Pending {
  batch: IncomingBatch;
  fail: (error: unknown) => void;
}

/**
 * Processes the events of topics exactly once: their effects and the group's offsets are one transaction. Any number of
 * processes may run the same inbox; Kafka spreads the partitions, and the offsets, moved by compare-and-set, see to it that
 * no member that has lost a partition without noticing adds anything.
 */
export class Inbox {
  readonly #options: InboxOptions;
  readonly #consumer: ConsumerHandle;
  readonly #writer: Sink;
  readonly #replay: DeadLetterReplay | undefined;
  readonly #pending = new Set<Pending>();
  #assignment: Assignment | undefined;
  #located: Promise<void> | undefined;
  #timers: NodeJS.Timeout[] = [];
  /** what goes on beside, and a stop has to wait for */
  readonly #underWay = new Set<Promise<unknown>>();
  #stopping = false;
  /** partitions that have moved since Kafka was told */
  readonly #unhinted = new Map<string, TopicPartition & { offset: bigint }>();

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
      accumulator,
      maxBatch = 1_000,
      restMs = 0,
      rereads = false,
    } = options;
    const onCommitted = (committed: readonly Committed[]) => this.#onCommitted(committed);
    const giveUp = rereads ? passOver : bury;
    const writer = new Writer({ group, pool, log, handle, bury: giveUp, maxBatch, restMs, onCommitted });
    this.#writer = accumulator
      ? new AccumulatingWriter({
          group,
          pool,
          log,
          accumulator,
          restMs,
          careful: writer,
          bury: giveUp,
          onCommitted,
          onVoid: () => this.#onVoid(),
        })
      : writer;
    if (!rereads) this.#replay = new DeadLetterReplay({ ...options, onCommitted: options.onCommitted });
    this.#consumer = kafka.consumer({
      group,
      topics,
      from: 'earliest',
      ...(options.sessionMs !== undefined && { sessionMs: options.sessionMs }),
      ...(accumulator && { concurrency: 1 }), // what is taken in at once is done with at once
      onAssigned: (partitions) => this.#onAssigned(partitions),
      onBatch: (batch) => this.#onBatch(batch),
    });
    health.addWork(`inbox ${group}`, () => {
      this.#consumer.checkJoined();
      this.#writer.check();
      this.#assignment?.check();
    });
    health.addLiveness(`inbox ${group}`, () => this.#consumer.checkAlive());
  }

  start(): void {
    if (this.#stopping || this.#timers.length > 0) return;
    this.#timers = [
      setInterval(() => void this.#follow(this.#heartbeat()), heartbeatMs),
      setInterval(() => void this.#follow(this.#hint()), hintMs),
      setInterval(() => void this.#follow(this.#recheck()), recheckMs),
    ];
    this.#consumer.start();
    this.#replay?.start();
  }

  /** Ends with the transaction in flight, leaves the group and stops; it asks nobody for anything afterwards. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#assignment?.end();
    await this.#replay?.stop();
    await this.#writer.idle();
    await this.#hint();
    await this.#consumer.stop();
    await Promise.allSettled(this.#underWay);
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
    this.#unhinted.clear();
    const assignment = new Assignment({ group, partitions, pool, log, admin: kafka.admin, consumer: this.#consumer });
    this.#assignment = assignment;
    this.#located = this.#follow(this.#writer.idle().then(() => assignment.locate()));
  }

  /** A batch ends when it is committed or void; until then the group hears that this member is at work. */
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
    if (!position || position.fault || batch.isStale() || assignment.signal.aborted) return false;
    if (!assignment.follows(position, batch)) {
      await assignment.locate([position]);
      return false;
    }
    const { group, decode, maxBatch = 1_000, rereads = false } = this.#options;
    const { topic, partition, messages } = batch;
    position.high = batch.highWatermark;
    let expected = position.stored;
    for (let i = 0; i < messages.length; i += maxBatch) {
      const items = messages.slice(i, i + maxBatch).map((message) => toItem(message, group, decode, !rereads));
      const next = messages[i + maxBatch]?.offset ?? batch.nextOffset;
      const committed = await this.#writer.write(
        { topic, partition, expected, next, items },
        assignment.signal,
        Math.max(0, Number(batch.highWatermark - next)),
      );
      if (!committed) {
        for (const item of items) endSpan(item, new Error('not committed by this member of the group'));
        await assignment.locate([position]);
        return false;
      }
      if (position.stored !== expected) return false; // it was located anew meanwhile, and the consumer sent there
      Object.assign(position, { stored: next, next, sought: false });
      expected = next;
    }
    return true;
  }

  /** What was taken in since the last commit is read again. */
  #onVoid(): void {
    const assignment = this.#assignment;
    if (assignment && !assignment.signal.aborted) this.#located = this.#follow(assignment.locate());
  }

  #onCommitted(committed: readonly Committed[]): void {
    const { group, onCommitted, log, rereads } = this.#options;
    const now = Date.now();
    let size = 0;
    for (const { topic, partition, next, messages, times, items } of committed) {
      const latency = metrics.latency.labels({ group, topic });
      const step = Math.ceil(times.length / latencySamples);
      for (let i = rereads ? times.length : 0; i < times.length; i += step)
        latency.observe(Math.max(0, now - times[i]!) / 1_000);
      for (const item of items) {
        if (item.fault && !rereads) metrics.deadLetters.inc({ group, topic });
        endSpan(item);
      }
      metrics.processed.inc({ group, topic }, messages);
      const high = this.#assignment?.at({ topic, partition })?.high ?? next;
      metrics.lag.set({ group, topic, partition }, Math.max(0, Number(high - next)));
      this.#unhinted.set(`${topic}/${partition}`, { topic, partition, offset: next });
      size += messages;
    }
    metrics.batchSize.observe({ group }, size);
    try {
      onCommitted?.();
    } catch (error) {
      log.error({ err: error, group }, 'what follows a commit failed');
    }
  }

  /** While batches take long. Where the group has given the partitions to others, the batches are void. */
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

  async #hint(): Promise<void> {
    const offsets = [...this.#unhinted.values()];
    this.#unhinted.clear();
    try {
      await this.#consumer.commit(offsets);
    } catch (error) {
      this.#options.log.debug(
        { err: error, group: this.#options.group },
        'Kafka did not take the offsets; they are a hint',
      );
    }
  }

  async #recheck(): Promise<void> {
    const faulty = this.#assignment?.positions.filter(({ fault }) => fault) ?? [];
    if (faulty.length > 0) await this.#assignment?.locate(faulty);
  }
}

const passOver: Bury = () => Promise.resolve();

function endSpan(item: Item, error?: Error): void {
  endItem(item, error);
  item.span = undefined;
}
