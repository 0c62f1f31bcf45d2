import { PlatformError } from '#platform/errors';
import type { ReceivedEvent } from '#platform/contract';
import { nameOf } from '#platform/kafka';
import type { TopicPartition } from '#platform/kafka';
import { backoffMs, pause } from '#platform/lifecycle';
import type { Logger } from '#platform/telemetry';
import type { Pool } from '#platform/postgres';
import { isUnavailable, transaction } from '#platform/postgres';
import type { Accumulation, Accumulator } from './accumulation.ts';
import { Availability } from './availability.ts';
import { databaseBackoff } from './retry-policy.ts';
import type { DeadLetterWriter } from './dead-letters.ts';
import { HeldBytes } from './held-bytes.ts';
import { heldOffsets } from './held-offsets.ts';
import { endItem } from './item.ts';
import { metrics } from './metrics.ts';
import { OffsetsMoved, Outdated, moveOffsets, offsetLocked } from './offsets.ts';
import type { Move } from './offsets.ts';
import { Patience } from './refusal.ts';
import { isNotable } from './partition-batch.ts';
import type { Committed, Sink, PartitionBatch } from './partition-batch.ts';

/** The most events of a transaction. When so many are pending, the inbox fetches nothing until the running one ends. */
const maxEvents = 65_536;
/** The most bytes that the messages of a transaction hold that are no plain events, in the same way; the last batch may exceed it. */
const maxHeldBytes = 16 * 1024 * 1024;
/** the least time between two transactions while the inbox lags: old events can wait a second to share a transaction */
const catchUpMs = 1_000;

export interface AccumulatingWriterOptions {
  group: string;
  pool: Pool;
  log: Logger;
  accumulator: Accumulator;
  /** the least time from one transaction to the next, in milliseconds */
  lingerMs: number;
  /** writes batches message by message after a transaction with them has failed */
  fallback: Sink;
  /** writes the messages that are given up */
  deadLetterWriter: DeadLetterWriter;
  /** called after each commit, with what was committed */
  onCommitted: (committed: readonly Committed[]) => void;
  /** called where a partition has to wait, because its offset is locked; the fallback calls its own */
  onRefused: (partition: TopicPartition, reason: string) => void;
  /** called when accepted events were discarded: they have to be read again */
  onDiscarded: () => void;
}

/** The content of one transaction. */
interface Work {
  accumulation: Accumulation;
  signal: AbortSignal;
  size: number;
  /** of the items in the batches */
  held: HeldBytes;
  /** why the accumulation did not accept some of the events */
  failure: unknown;
  /** by partition */
  batches: Map<string, Committed & Move>;
}

/** Why work is discarded. */
interface Failure {
  error: unknown;
  /** whether one of its events can be the reason: the fallback finds it, or the partition whose effects PostgreSQL refuses */
  isOfWork: boolean;
}

/**
 * The writer of an inbox with an accumulator: it accepts events into memory while a transaction writes the events before
 * them. So fetching, computing and writing overlap, and many events share one update of a row. When a transaction fails,
 * the writer discards all events that it has accepted since, and the inbox reads them again. Those of the transaction go to the
 * fallback then, which gives up the message that is at fault, and lets the partition wait whose effects PostgreSQL refuses.
 */
export class AccumulatingWriter implements Sink {
  readonly #options: AccumulatingWriterOptions;
  readonly #availability: Availability;
  readonly #lag = new Map<string, number>();
  /** by partition: the fallback writes these messages, because a transaction with them has failed */
  readonly #failed = new Map<string, Pick<Move, 'expected' | 'next' | 'topicId'>>();
  #pending: Work | undefined;
  #running: Promise<void> | undefined;
  /** resolves when the pending work moves into a transaction */
  #room = Promise.withResolvers<void>();
  /** ends every wait before a transaction */
  #hurry = Promise.withResolvers<void>();
  /** ends the longer wait of an inbox that lags */
  #caughtUp = Promise.withResolvers<void>();
  /** when the last transaction began */
  #lastBegin = Number.NEGATIVE_INFINITY;
  /** counts the discarded transactions: an event that arrived before the last of them is discarded, too */
  #discards = 0;

  constructor(options: AccumulatingWriterOptions) {
    this.#options = options;
    this.#availability = new Availability(options);
  }

  check(): void {
    this.#availability.check();
    this.#options.fallback.check();
  }

  /** @param lag how many events of the partition follow the batch @returns false where the batch is discarded */
  async write(batch: PartitionBatch, signal: AbortSignal, lag: number): Promise<boolean> {
    const name = nameOf(batch);
    if (this.#hasFailed(batch)) return this.#options.fallback.write(batch, signal, lag);
    const discards = this.#discards;
    await this.#prepare(batch, signal);
    while (this.#pending && isFull(this.#pending)) await this.#room.promise;
    if (signal.aborted || discards !== this.#discards) return false;
    if (!this.#follows(batch)) return false;
    this.#lag.set(name, lag);
    this.#take(batch, signal);
    if (isFull(this.#pending!)) this.#hurry.resolve();
    if (!this.#isBehind()) this.#caughtUp.resolve();
    this.#running ??= this.#run();
    return true;
  }

  /** Whether a transaction with these messages has failed: not one with those of an earlier topic at the same offsets. */
  #hasFailed(batch: PartitionBatch): boolean {
    const failed = this.#failed.get(nameOf(batch));
    if (!failed || failed.topicId !== batch.topicId) return false;
    return batch.expected >= failed.expected && batch.expected < failed.next;
  }

  /** Loads the state that the batch needs; it waits for an unavailable database as long as necessary. */
  #prepare(batch: PartitionBatch, signal: AbortSignal): Promise<void> {
    const { accumulator } = this.#options;
    return this.#availability.during(async (failed) => {
      for (let failures = 1; !signal.aborted; failures += 1) {
        try {
          return await accumulator.prepare({ ...batch, offset: batch.expected });
        } catch (error) {
          if (!isUnavailable(error)) throw error;
          failed(error as Error);
          await pause(backoffMs(failures, databaseBackoff), signal);
        }
      }
    });
  }

  /** Whether the batch begins where the pending events of its partition end. */
  #follows(batch: PartitionBatch): boolean {
    const pending = this.#pending?.batches.get(nameOf(batch));
    return pending === undefined || pending.next === batch.expected;
  }

  #take(batch: PartitionBatch, signal: AbortSignal): void {
    this.#pending ??= {
      accumulation: this.#options.accumulator.begin(),
      signal,
      size: 0,
      held: new HeldBytes(),
      failure: undefined,
      batches: new Map(),
    };
    const { topic, partition, expected, next, topicId, items } = batch;
    const name = nameOf(batch);
    const own = this.#pending.batches.get(name) ?? {
      topic,
      partition,
      expected,
      next,
      topicId,
      messages: 0,
      times: [],
      items: [],
    };
    const events: ReceivedEvent[] = [];
    for (const item of items) {
      if (isNotable(item)) {
        own.items.push(item);
        this.#pending.held.add(item);
      }
      if (!item.event || item.failure) continue;
      events.push(item.event);
      own.times.push(item.event.time);
    }
    own.next = next;
    own.messages += items.length;
    this.#pending.batches.set(name, own);
    try {
      this.#pending.accumulation.add({ topic, partition, events, next });
    } catch (error) {
      this.#pending.failure ??= error; // the fallback finds the message
    }
    this.#pending.size += items.length;
  }

  /** Writes all accepted events. */
  async idle(): Promise<void> {
    this.#hurry.resolve();
    await this.#running;
    await this.#options.fallback.idle();
  }

  async #run(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve)); // one turn of the event loop brings all partitions of a fetch
    while (this.#pending) {
      await this.#linger();
      this.#lastBegin = performance.now();
      const work = this.#pending;
      this.#pending = undefined;
      this.#room.resolve();
      this.#room = Promise.withResolvers();
      this.#hurry = Promise.withResolvers();
      this.#caughtUp = Promise.withResolvers();
      await this.#settle(work);
    }
    this.#running = undefined;
  }

  async #linger(): Promise<void> {
    await this.#lingerUntil(this.#lastBegin + this.#options.lingerMs, this.#hurry.promise);
    if (!this.#isBehind()) return;
    await this.#lingerUntil(this.#lastBegin + catchUpMs, Promise.race([this.#hurry.promise, this.#caughtUp.promise]));
  }

  async #lingerUntil(time: number, unless: Promise<void>): Promise<void> {
    const waitMs = time - performance.now();
    if (waitMs <= 0) return;
    const ended = new AbortController();
    await Promise.race([pause(waitMs, ended.signal), unless]);
    ended.abort();
  }

  /** Whether the partitions have more events to read than are pending. */
  #isBehind(): boolean {
    return this.#lag.values().reduce((sum, lag) => sum + lag, 0) > (this.#pending?.size ?? 0);
  }

  async #settle(work: Work): Promise<void> {
    const failure = await this.#availability.during((failed) => this.#try(work, failed));
    if (failure === undefined) this.#options.onCommitted([...work.batches.values()]);
    else this.#discard(work, failure);
  }

  /** Commits; it waits for an unavailable database as long as necessary. @returns why the work is to be discarded */
  async #try(work: Work, failed: (error: Error) => void): Promise<Failure | undefined> {
    const patience = new Patience();
    for (let failures = 1; work.failure === undefined; failures += 1) {
      try {
        await this.#commit(work);
        return undefined;
      } catch (error) {
        if (!isUnavailable(error)) return { error, isOfWork: !(error instanceof Outdated) };
        failed(error as Error);
        if (work.signal.aborted || (await this.#holdLocked(work, error))) return { error, isOfWork: false };
        if (patience.endsWith(error)) return { error, isOfWork: true };
        await pause(backoffMs(failures, databaseBackoff), work.signal);
      }
    }
    return { error: work.failure, isOfWork: true };
  }

  /** Lets the partitions wait whose offset another session holds. @returns whether there are any: the others are read again without them */
  async #holdLocked({ batches }: Work, error: unknown): Promise<boolean> {
    const { group, pool, onRefused } = this.#options;
    const held = await heldOffsets(pool, group, [...batches.values()], error);
    for (const partition of held) onRefused(partition, offsetLocked);
    return held.length > 0;
  }

  async #commit({ batches, accumulation }: Work): Promise<void> {
    const { group, pool, deadLetterWriter } = this.#options;
    const end = metrics.batch.startTimer({ group });
    await transaction(pool, async (tx) => {
      const moving = [...batches.values()];
      const moved = await moveOffsets(tx, group, moving);
      if (moved.length > 0) throw new OffsetsMoved(moved);
      const dead = moving.flatMap(({ items }) => items.filter(({ failure }) => failure));
      if (dead.length > 0) await deadLetterWriter(tx, group, dead);
      await accumulation.write(tx);
    });
    end();
  }

  #discard(work: Work, { error, isOfWork }: Failure): void {
    const { group, log, accumulator, onDiscarded } = this.#options;
    this.#discards += 1;
    const discarded = [work, ...(this.#pending ? [this.#pending] : [])];
    this.#pending = undefined;
    this.#room.resolve();
    this.#room = Promise.withResolvers();
    accumulator.reset();
    if (isOfWork) {
      log.error({ err: error, group }, 'a transaction failed: the inbox tries its messages one by one');
      for (const [name, { expected, next, topicId }] of work.batches)
        this.#failed.set(name, { expected, next, topicId });
    } else {
      log.debug({ err: error, group }, 'the inbox discarded events: who owns their partitions reads them again');
    }
    const reason = new PlatformError('ERR_INBOX_NOT_COMMITTED', 'not committed by this member of the group');
    for (const { batches } of discarded)
      for (const { items } of batches.values()) for (const item of items) endItem(item, reason);
    onDiscarded();
  }
}

const isFull = ({ size, held }: Work) => size >= maxEvents || held.sum >= maxHeldBytes;
