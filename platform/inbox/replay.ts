import { messageOf, PlatformError } from '#platform/errors';
import type { Logger } from '#platform/telemetry';
import { Ticker } from '#platform/lifecycle';
import type { Pool } from '#platform/postgres';
import { isUnavailable, transaction } from '#platform/postgres';
import { countPending, pendingStates } from './dead-letter-row.ts';
import { endItem } from './item.ts';
import { metrics } from './metrics.ts';
import { maxLetters, releaseOrphans, replayBatch } from './replay-batch.ts';
import type { Replayed, ReplayBatchOptions } from './replay-batch.ts';

const pollMs = 2_000;
/** so many failures of the database in a row can be its own: one that does not pass is looked for among the dead letters */
const patience = 3;
/** so many failures, each after the group has committed effects again, are a dead letter's: one can be the last of an outage */
const failuresAmongCommits = 2;
/** how often the dead letters are counted, and keys without one are released, in milliseconds */
const tendMs = 15_000;

export interface DeadLetterReplayOptions extends ReplayBatchOptions {
  pool: Pool;
  log: Logger;
  onCommitted?: (() => void) | undefined;
  /** when the group has last committed effects of messages, by the clock of `performance.now()` */
  lastCommitAt: () => number;
}

/**
 * Processes dead letters again whose `replay_requested_at` is set, and those behind dead letters that are done. They go
 * through the group's own handler, so that no other group gets them. One transaction holds the effects of many dead letters
 * and their results, `replayed_at` or `replay_error`. To repeat a failed replay, set `replay_error` to NULL.
 *
 * An error of the database is not the dead letter's: the replay waits. Where it comes again and again, it can be that of one dead
 * letter, such as a statement that always takes too long: then each is replayed alone, and one whose error stays while the group
 * commits effects of messages has failed.
 */
export class DeadLetterReplay {
  readonly #options: DeadLetterReplayOptions;
  readonly #ticker: Ticker;
  #tendedAt = Number.NEGATIVE_INFINITY;
  /** how often the database has failed in a row, how often since the group had committed effects again, when last, and why */
  #failures = 0;
  #failuresAmongCommits = 0;
  #failedAt = 0;
  #failure: unknown;
  /** the most dead letters of the next transaction */
  #limit = maxLetters;

  constructor(options: DeadLetterReplayOptions) {
    this.#options = options;
    this.#ticker = new Ticker({
      name: `replay of dead letters of ${options.group}`,
      everyMs: pollMs,
      log: options.log,
      run: () => this.#replayWhereAvailable(),
    });
  }

  start(): void {
    this.#ticker.start();
  }

  /** Finishes the running replay. */
  async stop(): Promise<void> {
    await this.#ticker.stop();
    for (const state of pendingStates) metrics.pendingDeadLetters.remove({ group: this.#options.group, state });
  }

  /** @throws while the database fails for the dead letters again and again */
  check(): void {
    if (this.#failures < 2 * patience) return;
    const { group } = this.#options;
    throw new PlatformError(
      'ERR_INBOX_REPLAY_WAITS',
      `the dead letters of ${group} are not replayed: ${messageOf(this.#failure)}`,
      { cause: this.#failure },
    );
  }

  async #replayWhereAvailable(): Promise<boolean> {
    try {
      await this.#tend();
      return await this.replayNext();
    } catch (error) {
      if (isUnavailable(error) && this.#failures < patience) return false; // the inbox reports it
      throw error;
    }
  }

  /** Replays the oldest dead letters that no other process has locked, in one transaction. @returns whether there was any */
  async replayNext(): Promise<boolean> {
    const { group, log, onCommitted } = this.#options;
    const letters = await this.#replay();
    if (!letters) return false;
    const done = letters.filter(({ isDone }) => isDone);
    const failed = letters.filter(({ error }) => error);
    for (const { item, error } of [...done, ...failed]) endItem(item, error);
    metrics.replayed.inc({ group, outcome: 'processed' }, done.length);
    metrics.replayed.inc({ group, outcome: 'failed' }, failed.length);
    const [first] = failed;
    if (first) {
      const { topic, partition, offset } = first.row;
      log.warn(
        { group, topic, partition, offset, err: first.error, failed: failed.length },
        'dead letters failed again',
      );
    }
    log.info({ group, replayed: done.length, failed: failed.length }, 'the inbox replayed dead letters');
    if (done.length > 0) onCommitted?.();
    return true;
  }

  async #replay(): Promise<Replayed[] | undefined> {
    const isLast = this.#failures >= 2 * patience && this.#failuresAmongCommits >= failuresAmongCommits;
    const attempt = { limit: this.#limit, isLast };
    try {
      const letters = await transaction(this.#options.pool, (tx) => replayBatch(tx, this.#options, attempt));
      this.#failures = 0;
      this.#failuresAmongCommits = 0;
      this.#limit = Math.min(maxLetters, this.#limit * 2);
      return letters;
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      if (this.#failures > 0 && this.#options.lastCommitAt() > this.#failedAt) this.#failuresAmongCommits += 1;
      this.#failedAt = performance.now();
      this.#failures += 1;
      this.#failure = error;
      if (this.#failures >= patience) this.#limit = 1;
      throw error;
    }
  }

  async #tend(): Promise<void> {
    const { group, pool } = this.#options;
    if (performance.now() - this.#tendedAt < tendMs) return;
    this.#tendedAt = performance.now();
    await releaseOrphans(pool, group);
    const counts = await countPending(pool, group);
    for (const [state, count] of counts) metrics.pendingDeadLetters.set({ group, state }, count);
  }
}
