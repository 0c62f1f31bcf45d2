import { setTimeout as sleep } from 'node:timers/promises';
import type { ReceivedEvent } from '#platform/contract';
import { nameOf } from '#platform/kafka';
import type { TopicPartition } from '#platform/kafka';
import type { Logger } from '#platform/telemetry';
import type { Pool, PoolClient } from '#platform/postgres';
import { transaction } from '#platform/postgres';
import { maxAttempts, messageBackoff } from './retry-policy.ts';
import type { DeadLetterWriter } from './dead-letters.ts';
import { failureOf, isHandled, reasonOf } from './item.ts';
import { arrangeKeys } from './key-order.ts';
import { backoffMs, roundMs } from '#platform/lifecycle';
import { metrics } from './metrics.ts';
import { moveOffsetsAndLook, OffsetsMoved } from './offsets.ts';
import { bisect, committedOf, takeUpTo } from './partition-batch.ts';
import type { Committed, Sink, PartitionBatch } from './partition-batch.ts';
import { Series } from './series.ts';
import { discarded, Transactions } from './transactions.ts';
import type { Round } from './transactions.ts';

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
  /**
   * Called where a partition has to wait: its first message can be neither handled nor given up, its offset is locked, or the database
   * refuses its effects alone. Then the writer goes on trying its batch until `done`, and nothing more of it is to come meanwhile; after
   * each failure it calls this again with the reason, without `done`.
   */
  onRefused: (partition: TopicPartition, reason: string, done?: Promise<void>) => void;
}

interface Waiting {
  batch: PartitionBatch;
  signal: AbortSignal;
  settle: (committed: boolean) => void;
}

/**
 * Writes the batches of all partitions that wait, effects and offsets, in one transaction after another. When a
 * transaction fails, the writer finds the message that causes the failure, and gives up that message alone. Where it keeps the order
 * of keys, the later messages of that key wait behind it, and the other keys go on. When the database refuses the batches of some
 * partitions alone, it tries these beside the others, one after the other: so they take one connection at most.
 */
export class Writer implements Sink {
  readonly #options: WriterOptions;
  readonly #transactions: Transactions;
  /** by partition: the offset of the message that can be neither handled nor given up */
  readonly #refused = new Map<string, bigint>();
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#transactions = new Transactions({
      ...options,
      commit: (batches, waitMs) => this.#commit(batches, waitMs),
      settle: (batch, signal, apart) => this.#settleRound([batch], signal, apart),
    });
  }

  /** @throws while the database is unavailable */
  check(): void {
    this.#transactions.check();
  }

  /** @returns false where the batch is discarded: another member has processed it, or the signal came first */
  write(batch: PartitionBatch, signal: AbortSignal): Promise<boolean> {
    return new Promise((settle) => {
      this.#waiting.push({ batch, signal, settle });
      this.#running ??= this.#run();
    });
  }

  /** Resolves when nothing is being written but what is tried beside the others, which its compare-and-set guards. */
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
      try {
        let lost = new Set<string>();
        if (live.length > 0) {
          const { signal } = live[0]!; // all have that of one assignment: the next one waits until this writer is idle
          lost = await this.#settleRound(
            live.map(({ batch }) => batch),
            signal,
          );
        }
        const size = live.reduce((sum, { batch }) => sum + batch.items.length, 0);
        const waitMs = begin + Math.max(this.#options.lingerMs, roundMs(size)) - performance.now();
        if (waitMs > 0) await sleep(waitMs); // the next fetch starts when these settle, and brings all that has come
        for (const { batch, settle } of work)
          settle(live.some((one) => one.batch === batch) && !lost.has(nameOf(batch)));
      } catch (error) {
        // only the signal ends the attempts with an error
        this.#options.log.debug({ err: error }, discarded);
        for (const { settle } of work) settle(false);
      }
    }
    this.#running = undefined;
  }

  /** @returns the partitions, by name, whose batches are left out */
  async #settleRound(batches: PartitionBatch[], signal: AbortSignal, apart?: Round['apart']): Promise<Set<string>> {
    const round: Round = { signal, lost: new Set(), done: new Set(), series: new Series(this.#options), apart };
    try {
      await this.#settle(batches, round);
      return round.lost;
    } finally {
      round.series.end();
    }
  }

  async #settle(batches: PartitionBatch[], round: Round): Promise<void> {
    const failure = await this.#transactions.try(batches, round);
    if (!failure) return;
    if (batches.length === 1) return this.#isolate(batches[0]!, failure, round);
    const guilty: [PartitionBatch, Error][] = [];
    for (const batch of batches) {
      const own = await this.#transactions.try([batch], round);
      if (own) guilty.push([batch, own]);
    }
    for (const [batch, own] of guilty) await this.#isolate(batch, own, round);
  }

  async #isolate(batch: PartitionBatch, error: Error, round: Round): Promise<void> {
    if (batch.items.length === 1) return this.#retry(batch, error, round);
    for (const half of bisect(batch)) await this.#settle([half], round);
  }

  /**
   * Retries a single message, and gives it up after the last attempt: after the first, where one before it in this round had all of
   * its attempts and failed with the same error of the data. A dead letter that cannot be written becomes one by
   * reference. Where even that is refused, the partition waits, and the others go on.
   */
  async #retry(batch: PartitionBatch, first: Error, round: Round): Promise<void> {
    const { group, log, onRefused } = this.#options;
    const { signal, lost, series } = round;
    const item = batch.items[0]!;
    const { topic, partition, offset } = item.message;
    const isKnown = this.#refused.get(nameOf(batch)) === offset; // it had its attempts, and waits
    let error: Error | undefined = first;
    for (let attempts = 1; !item.failure; attempts += 1) {
      const where = { group, topic, partition, offset: String(offset), attempts };
      const failure = failureOf(error, attempts);
      if (attempts >= maxAttempts || isKnown || series.has(failure)) {
        if (!isKnown) series.note(failure, { err: error, ...where });
        item.failure = failure;
      } else {
        if (attempts === 2) log.warn({ err: error, ...where }, 'a message failed, and the inbox retries it');
        await sleep(backoffMs(attempts, messageBackoff), undefined, { signal });
      }
      error = await this.#transactions.try([batch], round);
      if (!error) return;
    }
    const where = { group, topic, partition, offset: String(offset) };
    if (!isKnown) {
      await sleep(backoffMs(1, messageBackoff), undefined, { signal });
      error = await this.#transactions.try([batch], round);
      if (!error) return;
      log.error({ err: error, ...where }, 'a dead letter cannot hold its message, and says only where that is');
    }
    item.failure.isReference = true;
    error = await this.#transactions.try([batch], round);
    if (!error) return;
    metrics.refused.inc({ group, topic });
    if (!isKnown) log.error({ err: error, ...where }, 'not even a reference can be written: the partition waits');
    this.#refused.set(nameOf(batch), offset);
    lost.add(nameOf(batch));
    onRefused(batch, `the dead letter of offset ${offset} cannot be written: ${reasonOf(error)}`);
  }

  /** @param waitMs how long it may wait for each lock; default: as long as a statement of the pool may take */
  async #commit(batches: PartitionBatch[], waitMs?: number): Promise<void> {
    const { group, pool, handle, deadLetterWriter, keepsOrder, onCommitted } = this.#options;
    const end = metrics.batch.startTimer({ group });
    await transaction(pool, async (tx) => {
      if (waitMs !== undefined) await tx.query(`SET LOCAL lock_timeout = ${waitMs}`);
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
