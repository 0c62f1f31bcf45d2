import { PlatformError } from '#platform/errors';
import type { ReceivedEvent } from '#platform/contract';
import { backoffMs, pause } from '#platform/lifecycle';
import type { Logger } from '#platform/telemetry';
import type { Pool } from '#platform/postgres';
import { isUnavailable, transaction } from '#platform/postgres';
import type { Accumulation, Accumulator } from './accumulation.ts';
import { Availability, databaseBackoff } from './availability.ts';
import type { Bury } from './dead-letters.ts';
import { endItem } from './item.ts';
import { metrics } from './metrics.ts';
import { OffsetsMoved, Outdated, moveOffsets, nameOf } from './offsets.ts';
import type { Committed, Sink, Slice } from './slice.ts';

/** Events of a transaction at most; beyond, nothing is fetched until the one before has been committed. */
const maxEvents = 65_536;
/** the least time between two transactions while more events wait than one takes: what is old may be a second older */
const catchUpMs = 1_000;

export interface AccumulatingWriterOptions {
  group: string;
  pool: Pool;
  log: Logger;
  accumulator: Accumulator;
  /** the least time from one transaction to the next, in milliseconds */
  restMs: number;
  /** takes what an accumulation could not be written with, message by message */
  careful: Sink;
  /** what becomes of messages that are given up */
  bury: Bury;
  /** called after each commit with what it held */
  onCommitted: (committed: readonly Committed[]) => void;
  /** called where events that were taken in will not be committed: they have to be read again */
  onVoid: () => void;
}

/** What is to be written in one transaction. */
interface Work {
  accumulation: Accumulation;
  signal: AbortSignal;
  size: number;
  /** by partition */
  slices: Map<string, Committed & { expected: bigint }>;
}

/**
 * The writer of an inbox that gathers effects: events are taken into memory as they come, while a transaction writes those
 * before. So fetching, computing and writing go on at the same time, and many events share the rows that they change. Where
 * a transaction is lost, all that was taken in since is dropped and read again.
 */
export class AccumulatingWriter implements Sink {
  readonly #options: AccumulatingWriterOptions;
  readonly #availability: Availability;
  readonly #lag = new Map<string, number>();
  /** up to where partitions go message by message, because one of them made a transaction fail */
  readonly #carefulUntil = new Map<string, bigint>();
  #pending: Work | undefined;
  #running: Promise<void> | undefined;
  /** resolves when what is pending is being written */
  #room = Promise.withResolvers<void>();
  /** ends the rest before a transaction */
  #hurry = Promise.withResolvers<void>();
  /** ends the part of it that is longer because more events are to come */
  #caughtUp = Promise.withResolvers<void>();
  /** when the last transaction began */
  #lastBegin = Number.NEGATIVE_INFINITY;
  /** grows with each loss: what was on its way then is void */
  #losses = 0;

  constructor(options: AccumulatingWriterOptions) {
    this.#options = options;
    this.#availability = new Availability(options);
  }

  check(): void {
    this.#availability.check();
    this.#options.careful.check();
  }

  /** @param lag events of the partition behind the slice @returns whether the slice was taken in; if not, it is void */
  async write(slice: Slice, signal: AbortSignal, lag: number): Promise<boolean> {
    const name = nameOf(slice);
    if (slice.expected < (this.#carefulUntil.get(name) ?? 0n)) return this.#options.careful.write(slice, signal, lag);
    const losses = this.#losses;
    await this.#options.accumulator.prepare({ ...slice, offset: slice.expected });
    while (this.#pending && this.#pending.size >= maxEvents) await this.#room.promise;
    if (signal.aborted || losses !== this.#losses) return false;
    if (!this.#follows(slice)) return false;
    this.#lag.set(name, lag);
    this.#take(slice, signal);
    if (this.#pending!.size >= maxEvents) this.#hurry.resolve();
    if (!this.#isBehind()) this.#caughtUp.resolve();
    this.#running ??= this.#run();
    return true;
  }

  /** Whether nothing is missing between what is pending of a partition and a slice. */
  #follows(slice: Slice): boolean {
    const pending = this.#pending?.slices.get(nameOf(slice));
    return pending === undefined || pending.next === slice.expected;
  }

  #take(slice: Slice, signal: AbortSignal): void {
    this.#pending ??= { accumulation: this.#options.accumulator.begin(), signal, size: 0, slices: new Map() };
    const { topic, partition, expected, next, items } = slice;
    const name = nameOf(slice);
    const own = this.#pending.slices.get(name) ?? {
      topic,
      partition,
      expected,
      next,
      messages: 0,
      times: [],
      items: [],
    };
    const events: ReceivedEvent[] = [];
    for (const item of items) {
      if (item.span || item.fault) own.items.push(item);
      if (!item.event || item.fault) continue;
      events.push(item.event);
      own.times.push(item.event.time);
    }
    own.next = next;
    own.messages += items.length;
    this.#pending.accumulation.add({ topic, partition, events, next });
    this.#pending.slices.set(name, own);
    this.#pending.size += items.length;
  }

  /** Writes what was taken in. */
  async idle(): Promise<void> {
    this.#hurry.resolve();
    await this.#running;
    await this.#options.careful.idle();
  }

  async #run(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve)); // the partitions of one fetch come in one turn
    while (this.#pending) {
      await this.#rest();
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

  async #rest(): Promise<void> {
    await this.#restUntil(this.#lastBegin + this.#options.restMs, this.#hurry.promise);
    if (!this.#isBehind()) return;
    await this.#restUntil(this.#lastBegin + catchUpMs, Promise.race([this.#hurry.promise, this.#caughtUp.promise]));
  }

  async #restUntil(time: number, unless: Promise<void>): Promise<void> {
    const rest = time - performance.now();
    if (rest <= 0) return;
    const ended = new AbortController();
    await Promise.race([pause(rest, ended.signal), unless]);
    ended.abort();
  }

  /** Whether more events wait than are pending. */
  #isBehind(): boolean {
    return this.#lag.values().reduce((sum, lag) => sum + lag, 0) > (this.#pending?.size ?? 0);
  }

  async #settle(work: Work): Promise<void> {
    for (let failures = 1; ; failures += 1) {
      try {
        await this.#commit(work);
        this.#availability.set(undefined);
        break;
      } catch (error) {
        if (!isUnavailable(error)) return this.#lose(work, error);
        this.#availability.set(error as Error);
        if (work.signal.aborted) return this.#lose(work, error);
        await pause(backoffMs(failures, databaseBackoff), work.signal);
      }
    }
    this.#options.onCommitted([...work.slices.values()]);
  }

  async #commit({ slices, accumulation }: Work): Promise<void> {
    const { group, pool, bury } = this.#options;
    const end = metrics.batch.startTimer({ group });
    await transaction(pool, async (tx) => {
      const moving = [...slices.values()];
      const moved = await moveOffsets(tx, group, moving);
      if (moved.length > 0) throw new OffsetsMoved(moved);
      await accumulation.write(tx);
      const dead = moving.flatMap(({ items }) => items.filter(({ fault }) => fault));
      if (dead.length > 0) await bury(tx, group, dead);
    });
    end();
  }

  #lose(work: Work, error: unknown): void {
    const { group, log, accumulator, onVoid } = this.#options;
    this.#losses += 1;
    const lost = [work, ...(this.#pending ? [this.#pending] : [])];
    this.#pending = undefined;
    this.#room.resolve();
    this.#room = Promise.withResolvers();
    accumulator.reset();
    if (error instanceof Outdated || isUnavailable(error)) {
      log.debug({ err: error, group }, 'the inbox gave up what is no longer its own');
    } else {
      log.error({ err: error, group }, 'a transaction failed: its messages are tried one by one');
      for (const [name, { next }] of work.slices) this.#carefulUntil.set(name, next);
    }
    const reason = new PlatformError('ERR_INBOX_NOT_COMMITTED', 'not committed by this member of the group');
    for (const { slices } of lost)
      for (const { items } of slices.values()) for (const item of items) endItem(item, reason);
    onVoid();
  }
}
