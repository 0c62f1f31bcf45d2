import { setTimeout as sleep } from 'node:timers/promises';
import { toError } from '#platform/errors';
import type { ReceivedEvent } from '#platform/contract';
import type { Logger } from '#platform/telemetry';
import type { Pool, PoolClient } from '#platform/postgres';
import { isUnavailable, transaction } from '#platform/postgres';
import { Availability, databaseBackoff } from './availability.ts';
import type { Bury } from './dead-letters.ts';
import { reasonOf } from './item.ts';
import { backoffMs, roundMs } from '#platform/lifecycle';
import { metrics } from './metrics.ts';
import { OffsetsMoved, moveOffsets, nameOf } from './offsets.ts';
import { bisect, committedOf, fold } from './slice.ts';
import type { Committed, Sink, Slice } from './slice.ts';

/** A single message is tried this often, with pauses that double, before it is given up. */
const maxAttempts = 5;
const retry = { firstMs: 100, maxMs: 5_000 };
/** Applies the events to the database, in the order given, inside the caller's transaction. */
export type Handle = (tx: PoolClient, events: ReceivedEvent[]) => Promise<void>;

export interface WriterOptions {
  group: string;
  pool: Pool;
  log: Logger;
  handle: Handle;
  /** what becomes of messages that are given up */
  bury: Bury;
  maxBatch: number;
  /** the least time from one transaction to the next, in milliseconds */
  restMs: number;
  /** called after each commit with what it held */
  onCommitted: (committed: readonly Committed[]) => void;
}

interface Waiting {
  slice: Slice;
  signal: AbortSignal;
  settle: (committed: boolean) => void;
}

/**
 * The one writer of an inbox: folds what waits, of any partitions, into one transaction at a time of effects and offsets.
 * Where that fails it finds the message whose fault it is, and gives that one up.
 */
export class Writer implements Sink {
  readonly #options: WriterOptions;
  readonly #availability: Availability;
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#availability = new Availability(options);
  }

  /** @throws while the database cannot be used */
  check(): void {
    this.#availability.check();
  }

  /** @returns whether the slice is committed; if not, it was another member's, or the signal came first */
  write(slice: Slice, signal: AbortSignal): Promise<boolean> {
    return new Promise((settle) => {
      this.#waiting.push({ slice, signal, settle });
      this.#running ??= this.#run();
    });
  }

  /** Resolves when nothing is being written. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve)); // the partitions of one fetch come in one turn
    while (this.#waiting.length > 0) {
      const begin = performance.now();
      const work = fold(this.#waiting, ({ slice }) => slice.items.length, this.#options.maxBatch);
      this.#waiting = this.#waiting.slice(work.length);
      const live = work.filter(({ signal }) => !signal.aborted);
      const lost = new Set<string>();
      try {
        if (live.length > 0) {
          await this.#settle(
            live.map(({ slice }) => slice),
            live[0]!.signal, // of one assignment: the next one waits until this writer is idle
            lost,
          );
        }
        const size = live.reduce((sum, { slice }) => sum + slice.items.length, 0);
        const rest = begin + Math.max(this.#options.restMs, roundMs(size)) - performance.now();
        if (rest > 0) await sleep(rest); // nothing is fetched until these settle: the next fetch brings all that came
        for (const { slice, settle } of work)
          settle(live.some((one) => one.slice === slice) && !lost.has(nameOf(slice)));
      } catch (error) {
        // only the signal ends the attempts
        this.#options.log.debug({ err: error }, 'the inbox gave up a batch that is no longer its own');
        for (const { settle } of work) settle(false);
      }
    }
    this.#running = undefined;
  }

  async #settle(slices: Slice[], signal: AbortSignal, lost: Set<string>): Promise<void> {
    if (!(await this.#try(slices, signal, lost))) return;
    if (slices.length === 1) return this.#isolate(slices[0]!, signal, lost);
    const guilty: Slice[] = [];
    for (const slice of slices) if (await this.#try([slice], signal, lost)) guilty.push(slice);
    for (const slice of guilty) await this.#isolate(slice, signal, lost);
  }

  async #isolate(slice: Slice, signal: AbortSignal, lost: Set<string>): Promise<void> {
    if (slice.items.length === 1) return this.#retry(slice, signal, lost);
    for (const half of bisect(slice)) await this.#settle([half], signal, lost);
  }

  /** Tries a single message again and again, then gives it up. */
  async #retry(slice: Slice, signal: AbortSignal, lost: Set<string>): Promise<void> {
    const item = slice.items[0]!;
    for (let attempts = 2; ; attempts += 1) {
      await sleep(backoffMs(attempts - 1, retry), undefined, { signal });
      const error = await this.#try([slice], signal, lost);
      if (!error) return;
      const { topic, partition, offset } = item.message;
      const place = { topic, partition, offset: String(offset), attempts };
      if (item.fault) this.#options.log.error({ err: error, ...place }, 'a dead letter cannot be written');
      else if (attempts >= maxAttempts) {
        this.#options.log.error({ err: error, ...place }, 'a message was given up and goes to the dead letters');
        item.fault = { reason: reasonOf(error), attempts };
        if (!(await this.#try([slice], signal, lost))) return;
      } else this.#options.log.warn({ err: error, ...place }, 'a message failed and is tried again');
    }
  }

  /**
   * Commits slices together, waiting for the database as long as it takes. Those that another member has moved are left
   * out and added to `lost`.
   * @returns the error where the work itself is at fault; then nothing is committed
   * @throws where the signal comes first
   */
  async #try(slices: Slice[], signal: AbortSignal, lost: Set<string>): Promise<Error | undefined> {
    let left = slices.filter((slice) => !lost.has(nameOf(slice)));
    for (let failures = 0; left.length > 0;) {
      signal.throwIfAborted();
      try {
        await this.#commit(left);
        this.#availability.set(undefined);
        return undefined;
      } catch (error) {
        if (error instanceof OffsetsMoved) {
          for (const slice of error.slices) lost.add(nameOf(slice));
          left = left.filter((slice) => !lost.has(nameOf(slice)));
        } else if (isUnavailable(error)) {
          this.#availability.set(error as Error);
          failures += 1;
          await sleep(backoffMs(failures, databaseBackoff), undefined, { signal });
        } else return toError(error);
      }
    }
    return undefined;
  }

  async #commit(slices: Slice[]): Promise<void> {
    const { group, pool, handle, bury, onCommitted } = this.#options;
    const end = metrics.batch.startTimer({ group });
    await transaction(pool, async (tx) => {
      const moved = await moveOffsets(tx, group, slices);
      if (moved.length > 0) throw new OffsetsMoved(moved);
      const items = slices.flatMap((slice) => slice.items);
      const events = items.flatMap(({ event, fault }) => (event && !fault ? [event] : []));
      if (events.length > 0) await handle(tx, events);
      const dead = items.filter(({ fault }) => fault);
      if (dead.length > 0) await bury(tx, group, dead);
    });
    end();
    onCommitted(slices.map(committedOf));
  }
}
