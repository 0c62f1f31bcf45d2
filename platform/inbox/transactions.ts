import { setTimeout as sleep } from 'node:timers/promises';
import { toError } from '#platform/errors';
import { nameOf } from '#platform/kafka';
import type { TopicPartition } from '#platform/kafka';
import { backoffMs } from '#platform/lifecycle';
import type { Pool } from '#platform/postgres';
import { isUnavailable } from '#platform/postgres';
import type { Logger } from '#platform/telemetry';
import { Availability } from './availability.ts';
import { heldOffsets } from './held-offsets.ts';
import { metrics } from './metrics.ts';
import { offsetLocked, OffsetsMoved } from './offsets.ts';
import type { PartitionBatch } from './partition-batch.ts';
import { Patience, patienceWith, reasonToWait } from './refusal.ts';
import { databaseBackoff } from './retry-policy.ts';
import type { Series } from './series.ts';

/**
 * how long a batch that is tried by itself may wait for each lock, in milliseconds: a session that holds one longer holds the partition up,
 * and a slow statement that waits for nobody does not
 */
const lockMs = 1_000;

export const discarded = 'the inbox discarded a batch of a partition that it no longer owns';

/** The batches that are written together, in one transaction or, where it fails, in several. */
export interface Round {
  signal: AbortSignal;
  /** the partitions, by name, whose batches are left out: another member has processed them, or they wait */
  lost: Set<string>;
  /** the batches that are committed while others are tried again */
  done: Set<PartitionBatch>;
  /** the messages that it gives up */
  series: Series;
  /** present where this is one batch that is tried beside the others: to be called when the database has failed it */
  apart: ((error: Error) => void) | undefined;
}

export interface TransactionsOptions {
  group: string;
  pool: Pool;
  log: Logger;
  /**
   * Commits batches in one transaction.
   * @param waitMs how long it may wait for each lock; default: as long as a statement of the pool may take
   */
  commit: (batches: PartitionBatch[], waitMs?: number) => Promise<void>;
  /**
   * Commits a batch in a round of its own, or gives up the messages of it that fail by themselves.
   * @param apart that of the round
   */
  settle: (batch: PartitionBatch, signal: AbortSignal, apart: (error: Error) => void) => Promise<unknown>;
  /** called where a partition has to wait: for `done`, where there is one; again, without it, when the reason is another */
  onRefused: (partition: TopicPartition, reason: string, done?: Promise<void>) => void;
}

/**
 * The transactions of a writer, which are tried again while the database is at fault. When it refuses the batches of some partitions
 * alone, these are tried beside the others, one after the other: they take one connection at most.
 */
export class Transactions {
  readonly #options: TransactionsOptions;
  readonly #availability: Availability;
  /** the last one of those that are tried beside the others */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: TransactionsOptions) {
    this.#options = options;
    this.#availability = new Availability(options);
  }

  /** @throws while the database is unavailable */
  check(): void {
    this.#availability.check();
  }

  /**
   * Commits batches together; it waits for an unavailable database as long as necessary. It leaves out the batches that
   * another member has processed, and those that the database refuses alone, and adds them to those that are lost.
   * @returns the error where a message causes the failure; then nothing of the batches that are not done is committed
   * @throws when the signal is aborted
   */
  try(batches: PartitionBatch[], round: Round): Promise<Error | undefined> {
    const { apart } = round;
    return apart
      ? this.#attempt(batches, round, apart)
      : this.#availability.during((failed) => this.#attempt(batches, round, failed));
  }

  async #attempt(batches: PartitionBatch[], round: Round, failed: (error: Error) => void): Promise<Error | undefined> {
    const { commit } = this.#options;
    const { signal, lost, done, apart } = round;
    let left = batches.filter((batch) => !lost.has(nameOf(batch)) && !done.has(batch));
    const patience = new Patience();
    for (let failures = 1; left.length > 0; failures += 1) {
      signal.throwIfAborted();
      try {
        await (apart ? this.#inTurn(left, signal) : commit(left));
        return undefined;
      } catch (error) {
        if (error instanceof OffsetsMoved) {
          for (const batch of error.batches) lost.add(nameOf(batch));
          left = left.filter((batch) => !lost.has(nameOf(batch)));
          continue;
        }
        if (!isUnavailable(error)) return toError(error);
        failed(error as Error);
        const isOver = patience.endsWith(error);
        const free = await this.#withoutHeld(left, error, round);
        const isRefusal = isOver && free.length === left.length && !apart;
        const rest = isRefusal ? await this.#withoutRefused(left, error as Error, round) : free;
        if (rest instanceof Error) return rest;
        left = rest;
        if (left.length > 0) await sleep(backoffMs(failures, databaseBackoff), undefined, { signal });
      }
    }
    return undefined;
  }

  /** Leaves out the batches whose offset another session holds. */
  async #withoutHeld(batches: PartitionBatch[], error: unknown, { lost }: Round): Promise<PartitionBatch[]> {
    const { group, pool, onRefused } = this.#options;
    const held = new Set(await heldOffsets(pool, group, batches, error));
    for (const batch of held) {
      lost.add(nameOf(batch));
      onRefused(batch, offsetLocked);
    }
    return batches.filter((batch) => !held.has(batch));
  }

  /**
   * Commits the batches one by one, once the database has refused them together, and leaves out those that it refuses alone.
   * @returns those that are left where the database becomes unavailable, or else the error where a message causes a failure
   */
  async #withoutRefused(batches: PartitionBatch[], error: Error, round: Round): Promise<PartitionBatch[] | Error> {
    if (batches.length === 1) {
      this.#putApart(batches[0]!, error, round);
      return [];
    }
    const failed: PartitionBatch[] = [];
    let failure: Error | undefined;
    for (const [i, batch] of batches.entries()) {
      round.signal.throwIfAborted();
      try {
        await this.#options.commit([batch], lockMs);
        round.done.add(batch);
      } catch (own) {
        if (own instanceof OffsetsMoved) round.lost.add(nameOf(batch));
        else if (!isUnavailable(own)) {
          failed.push(batch);
          failure ??= toError(own);
        } else if (patienceWith(own) < Number.POSITIVE_INFINITY) this.#putApart(batch, own as Error, round);
        else return [...failed, ...batches.slice(i)];
      }
    }
    return failure ?? [];
  }

  /** Lets the partition of a batch wait, and tries it beside the others. */
  #putApart(batch: PartitionBatch, error: Error, { signal, lost }: Round): void {
    signal.throwIfAborted();
    const { group, log, settle, onRefused } = this.#options;
    const { topic, partition } = batch;
    const where = { group, topic, partition };
    log.warn(
      { err: error, ...where },
      'a partition waits, whose effects PostgreSQL refuses. The others go on without it',
    );
    lost.add(nameOf(batch));
    const apart = (last: Error) => {
      metrics.waited.inc({ group });
      if (!signal.aborted) onRefused(batch, reasonToWait(last));
    };
    const done = settle(batch, signal, apart).then(
      () => log.info(where, 'a partition goes on, whose effects PostgreSQL refused'),
      (err: unknown) => log.debug({ err, ...where }, discarded),
    );
    onRefused(batch, reasonToWait(error), done);
  }

  /** Commits a batch when the one before it that is tried beside the others is. */
  #inTurn(batches: PartitionBatch[], signal: AbortSignal): Promise<void> {
    const turn = this.#turn.then(() => {
      signal.throwIfAborted();
      return this.#options.commit(batches, lockMs);
    });
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
}
