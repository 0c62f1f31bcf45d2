import { InvalidEvent } from '#platform/contract';
import type { DecodeEvent } from '#platform/contract';
import { toError } from '#platform/errors';
import type { IncomingMessage } from '#platform/kafka';
import { Ticker } from '#platform/lifecycle';
import type { Logger } from '#platform/telemetry';
import type { Pool, PoolClient } from '#platform/postgres';
import { isUnavailable, transaction } from '#platform/postgres';
import { deadLetterColumns, messageOf } from './dead-letter-row.ts';
import type { DeadLetterRow } from './dead-letter-row.ts';
import { endItem, maxReason, reasonOf, toItem } from './item.ts';
import type { Item } from './item.ts';
import { metrics } from './metrics.ts';
import { storable } from './storable.ts';
import type { Handle } from './writer.ts';

const pollMs = 2_000;

const notKept = 'the dead letter is a reference: read the message at its offset, and send it again';

export interface DeadLetterReplayOptions {
  group: string;
  pool: Pool;
  log: Logger;
  handle: Handle;
  decode: DecodeEvent<IncomingMessage>;
  onCommitted?: (() => void) | undefined;
}

/**
 * Processes dead letters again whose `replay_requested_at` is set. They go through the group's own handler, so that no
 * other group gets them. One transaction holds a dead letter's effects and its result, `replayed_at` or `replay_error`. To
 * repeat a failed replay, set `replay_error` to NULL.
 */
export class DeadLetterReplay {
  readonly #options: DeadLetterReplayOptions;
  readonly #ticker: Ticker;

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
  stop(): Promise<void> {
    return this.#ticker.stop();
  }

  async #replayWhereAvailable(): Promise<boolean> {
    try {
      return await this.replayNext();
    } catch (error) {
      if (isUnavailable(error)) return false; // the inbox reports it
      throw error;
    }
  }

  /** Replays the oldest requested dead letter that no other process has locked. @returns whether there was one */
  async replayNext(): Promise<boolean> {
    const { group, pool, log, decode, onCommitted } = this.#options;
    const done = await transaction(pool, async (tx) => {
      const { rows } = await tx.query<DeadLetterRow>(
        `SELECT ${deadLetterColumns} FROM millrace.dead_letters
         WHERE consumer_group = $1 AND replay_requested_at IS NOT NULL AND replayed_at IS NULL AND replay_error IS NULL
         ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED`,
        [group],
      );
      const [row] = rows;
      if (!row) return undefined;
      const item = toItem(messageOf(row), group, decode);
      const error = row.is_reference ? new InvalidEvent(notKept) : await this.#handle(tx, item);
      await tx.query(
        `UPDATE millrace.dead_letters SET replayed_at = CASE WHEN $2::text IS NULL THEN now() END, replay_error = $2 WHERE id = $1`,
        [row.id, error === undefined ? null : storable(reasonOf(error), maxReason)],
      );
      return { row, item, error };
    });
    if (!done) return false;
    const { row, item, error } = done;
    endItem(item, error);
    metrics.replayed.inc({ group, outcome: error ? 'failed' : 'processed' });
    log.info(
      { group, topic: row.topic, partition: row.partition, offset: row.offset, err: error },
      'the inbox replayed a dead letter',
    );
    if (!error) onCommitted?.();
    return true;
  }

  /** @returns the error of the message itself; then its effects are rolled back */
  async #handle(tx: PoolClient, { event, failure }: Item): Promise<Error | undefined> {
    if (!event) return new InvalidEvent(failure?.reason ?? 'the message is not an event');
    await tx.query('SAVEPOINT replay');
    try {
      await this.#options.handle(tx, [event]);
      return undefined;
    } catch (error) {
      if (isUnavailable(error)) throw error;
      await tx.query('ROLLBACK TO SAVEPOINT replay');
      return toError(error);
    }
  }
}
