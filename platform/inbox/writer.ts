import { setTimeout as sleep } from 'node:timers/promises';
import { toError } from '#platform/errors';
import type { ReceivedEvent } from '#platform/contract';
import type { TopicPartition } from '#platform/kafka';
import type { Logger } from '#platform/telemetry';
import type { Pool, PoolClient } from '#platform/postgres';
import { isUnavailable, transaction } from '#platform/postgres';
import { Availability } from './availability.ts';
import { databaseBackoff, maxAttempts, messageBackoff } from './retry-policy.ts';
import type { DeadLetterWriter } from './dead-letters.ts';
import { failureOf, isHandled, reasonOf } from './item.ts';
import type { Failure } from './item.ts';
import { arrangeKeys } from './key-order.ts';
import { backoffMs, roundMs } from '#platform/lifecycle';
import { metrics } from './metrics.ts';
import { heldOffsets } from './held-offsets.ts';
import { moveOffsetsAndLook, nameOf, offsetLocked, OffsetsMoved } from './offsets.ts';
import { bisect, committedOf, takeUpTo } from './partition-batch.ts';
import type { Committed, Sink, PartitionBatch } from './partition-batch.ts';

/** Applies the events to the database, in the order given, inside the caller's transaction. */
export type Handle = (tx: PoolClient, events: ReceivedEvent[]) => Promise<void>;

export interface WriterOptions {
  group: string;
  pool: Pool;
  log: Logger;
  handle: Handle;
  /** writes the messages that are given up */
  deadLetterWriter: DeadLetterWriter;
  /** whether the messages of a key wait while an earlier one is a dead letter */
  keepsOrder: boolean;
  maxBatch: number;
  /** the least time from one transaction to the next, in milliseconds */
  lingerMs: number;
  /** called after each commit, with what was committed */
  onCommitted: (committed: readonly Committed[]) => void;
  /** called where a partition has to wait: its first message can be neither handled nor given up, or its offset is locked */
  onRefused: (partition: TopicPartition, reason: string) => void;
}

/** Errors of the data and of its size, for which PostgreSQL needs the same data again to fail in the same way. */
const ofData = /^(22|23|54)[0-9A-Z]{3}$/;

interface Waiting {
  batch: PartitionBatch;
  signal: AbortSignal;
  settle: (committed: boolean) => void;
}

/**
 * Writes the batches of all partitions that wait, effects and offsets, in one transaction after another. When a
 * transaction fails, the writer finds the message that causes the failure, and gives up that message alone. Where it keeps the order
 * of keys, the later messages of that key wait behind it, and the other keys go on.
 */
export class Writer implements Sink {
  readonly #options: WriterOptions;
  readonly #availability: Availability;
  /** by partition: the offset of the message that can be neither handled nor given up */
  readonly #refused = new Map<string, bigint>();
  /**
   * By SQLSTATE: how many messages of this round were given up after one attempt, because one before them had all of its attempts:
   * the partitions of the round wait meanwhile
   */
  readonly #series = new Map<string, number>();
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#availability = new Availability(options);
  }

  /** @throws while the database is unavailable */
  check(): void {
    this.#availability.check();
  }

  /** @returns false where the batch is discarded: another member has processed it, or the signal came first */
  write(batch: PartitionBatch, signal: AbortSignal): Promise<boolean> {
    return new Promise((settle) => {
      this.#waiting.push({ batch, signal, settle });
      this.#running ??= this.#run();
    });
  }

  /** Resolves when nothing is being written. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve)); // one turn of the event loop brings all partitions of a fetch
    while (this.#waiting.length > 0) {
      const begin = performance.now();
      const work = takeUpTo(this.#waiting, ({ batch }) => batch.items.length, this.#options.maxBatch);
      this.#waiting = this.#waiting.slice(work.length);
      const live = work.filter(({ signal }) => !signal.aborted);
      const lost = new Set<string>();
      try {
        if (live.length > 0) {
          await this.#settle(
            live.map(({ batch }) => batch),
            live[0]!.signal, // all have the signal of one assignment: the next one waits until this writer is idle
            lost,
          );
        }
        const size = live.reduce((sum, { batch }) => sum + batch.items.length, 0);
        const waitMs = begin + Math.max(this.#options.lingerMs, roundMs(size)) - performance.now();
        if (waitMs > 0) await sleep(waitMs); // the next fetch starts when these settle, and brings all that has come
        for (const { batch, settle } of work)
          settle(live.some((one) => one.batch === batch) && !lost.has(nameOf(batch)));
      } catch (error) {
        // only the signal ends the attempts with an error
        this.#options.log.debug({ err: error }, 'the inbox discarded a batch of a partition that it no longer owns');
        for (const { settle } of work) settle(false);
      }
      this.#endSeries();
    }
    this.#running = undefined;
  }

  /** Logs the first message of a round that is given up for an error of the data, and counts the others. */
  #noteGivenUp({ code = '' }: Failure, details: object): void {
    const others = this.#series.get(code);
    if (others !== undefined) this.#series.set(code, others + 1);
    else {
      if (ofData.test(code)) this.#series.set(code, 0);
      this.#options.log.error(details, 'the inbox gave up a message, which becomes a dead letter');
    }
  }

  #endSeries(): void {
    const { group, log } = this.#options;
    for (const [code, messages] of this.#series)
      if (messages > 0)
        log.error({ group, code, messages }, 'the inbox gave up more messages for errors of the same code');
    this.#series.clear();
  }

  async #settle(batches: PartitionBatch[], signal: AbortSignal, lost: Set<string>): Promise<void> {
    const failure = await this.#try(batches, signal, lost);
    if (!failure) return;
    if (batches.length === 1) return this.#isolate(batches[0]!, failure, signal, lost);
    const guilty: [PartitionBatch, Error][] = [];
    for (const batch of batches) {
      const own = await this.#try([batch], signal, lost);
      if (own) guilty.push([batch, own]);
    }
    for (const [batch, own] of guilty) await this.#isolate(batch, own, signal, lost);
  }

  async #isolate(batch: PartitionBatch, error: Error, signal: AbortSignal, lost: Set<string>): Promise<void> {
    if (batch.items.length === 1) return this.#retry(batch, error, signal, lost);
    for (const half of bisect(batch)) await this.#settle([half], signal, lost);
  }

  /**
   * Retries a single message, and gives it up after the last attempt: after the first, where one before it in this round had all of
   * its attempts and failed with the same error of the data. A dead letter that cannot be written becomes one by
   * reference. Where even that is refused, the partition waits, and the others go on.
   */
  async #retry(batch: PartitionBatch, first: Error, signal: AbortSignal, lost: Set<string>): Promise<void> {
    const { group, log, onRefused } = this.#options;
    const item = batch.items[0]!;
    const { topic, partition, offset } = item.message;
    const isKnown = this.#refused.get(nameOf(batch)) === offset; // it had its attempts, and waits
    let error: Error | undefined = first;
    for (let attempts = 1; !item.failure; attempts += 1) {
      const where = { group, topic, partition, offset: String(offset), attempts };
      const failure = failureOf(error, attempts);
      if (attempts >= maxAttempts || isKnown || this.#series.has(failure.code ?? '')) {
        if (!isKnown) this.#noteGivenUp(failure, { err: error, ...where });
        item.failure = failure;
      } else {
        if (attempts === 2) log.warn({ err: error, ...where }, 'a message failed, and the inbox retries it');
        await sleep(backoffMs(attempts, messageBackoff), undefined, { signal });
      }
      error = await this.#try([batch], signal, lost);
      if (!error) return;
    }
    const where = { group, topic, partition, offset: String(offset) };
    if (!isKnown) {
      await sleep(backoffMs(1, messageBackoff), undefined, { signal });
      error = await this.#try([batch], signal, lost);
      if (!error) return;
      log.error({ err: error, ...where }, 'a dead letter cannot hold its message, and says only where that is');
    }
    item.failure.isReference = true;
    error = await this.#try([batch], signal, lost);
    if (!error) return;
    metrics.refused.inc({ group, topic });
    if (!isKnown) log.error({ err: error, ...where }, 'not even a reference can be written: the partition waits');
    this.#refused.set(nameOf(batch), offset);
    lost.add(nameOf(batch));
    onRefused(batch, `the dead letter of offset ${offset} cannot be written: ${reasonOf(error)}`);
  }

  /**
   * Commits batches together; it waits for an unavailable database as long as necessary. It leaves out the batches that
   * another member has processed, and adds them to `lost`.
   * @returns the error where a message causes the failure; then nothing is committed
   * @throws when the signal is aborted
   */
  #try(batches: PartitionBatch[], signal: AbortSignal, lost: Set<string>): Promise<Error | undefined> {
    return this.#availability.during(async (failed) => {
      let left = batches.filter((batch) => !lost.has(nameOf(batch)));
      for (let failures = 0; left.length > 0;) {
        signal.throwIfAborted();
        try {
          await this.#commit(left);
          return undefined;
        } catch (error) {
          if (error instanceof OffsetsMoved) {
            for (const batch of error.batches) lost.add(nameOf(batch));
            left = left.filter((batch) => !lost.has(nameOf(batch)));
          } else if (isUnavailable(error)) {
            failed(error as Error);
            left = await this.#withoutHeld(left, error, lost);
            failures += 1;
            await sleep(backoffMs(failures, databaseBackoff), undefined, { signal });
          } else return toError(error);
        }
      }
      return undefined;
    });
  }

  /** Leaves out the batches whose offset another session holds. */
  async #withoutHeld(batches: PartitionBatch[], error: unknown, lost: Set<string>): Promise<PartitionBatch[]> {
    const { group, pool, onRefused } = this.#options;
    const held = new Set(await heldOffsets(pool, group, batches, error));
    for (const batch of held) {
      lost.add(nameOf(batch));
      onRefused(batch, offsetLocked);
    }
    return batches.filter((batch) => !held.has(batch));
  }

  async #commit(batches: PartitionBatch[]): Promise<void> {
    const { group, pool, handle, deadLetterWriter, keepsOrder, onCommitted } = this.#options;
    const end = metrics.batch.startTimer({ group });
    await transaction(pool, async (tx) => {
      const { moved, blocked } = await moveOffsetsAndLook(tx, group, batches);
      if (moved.length > 0) throw new OffsetsMoved(moved);
      if (keepsOrder) await arrangeKeys(tx, group, batches, blocked);
      const items = batches.flatMap((batch) => batch.items);
      const events = items.flatMap((item) => (isHandled(item) ? [item.event!] : []));
      if (events.length > 0) await handle(tx, events);
      const dead = items.filter(({ failure, isWaiting }) => failure ?? isWaiting);
      if (dead.length > 0) await deadLetterWriter(tx, group, dead);
    });
    end();
    onCommitted(batches.map(committedOf));
  }
}
