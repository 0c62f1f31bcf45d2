import { setTimeout as sleep } from 'node:timers/promises';
import { isLockFailure, PlatformError } from '#platform/errors';
import type { DecodeEvent } from '#platform/contract';
import { rebuildGroup } from '#platform/declarations';
import { isTombstone, loadOffsets, moveOffsets, nameOf } from '#platform/inbox';
import type { Handle } from '#platform/inbox';
import type { IncomingBatch, IncomingMessage, Kafka, TopicPartition } from '#platform/kafka';
import type { Logger } from '#platform/telemetry';
import { isUnavailable, transaction } from '#platform/postgres';
import type { Pool, PoolClient } from '#platform/postgres';
import { beginBuilding, finish, noteProgress } from './requests.ts';
import type { Request } from './requests.ts';
import { createNextTables, dropNextTables, nextSchema, switchTables } from './tables.ts';

export interface BuildOptions {
  request: Request;
  topics: readonly string[];
  /** decodes a message into an event */
  decode: DecodeEvent<IncomingMessage>;
  /** projects events into the tables, like the inbox of the version in use */
  handle: Handle;
  /** the tables of the read model, in the schema `public` */
  tables: readonly string[];
  pool: Pool;
  kafka: Kafka;
  log: Logger;
  signal: AbortSignal;
  onSwitched: () => void;
}

const lookMs = 250;

/**
 * Builds a version of the read model beside the one in use, from the first event on, and switches when it has caught up.
 * After an interruption it continues, because its offsets are in the database, with its tables. If it cannot handle an event
 * that the version in use has handled, the build ends, and the version in use stays.
 */
export async function buildVersion(options: BuildOptions): Promise<void> {
  const { request, pool, log } = options;
  if (request.phase === 'Requested') {
    await transaction(pool, async (tx) => {
      await createNextTables(tx, options.tables);
      await forgetOffsets(tx, request);
      await beginBuilding(tx, request.version);
    });
  }
  log.info({ version: request.version }, 'a new version of the read model is being built');
  try {
    await new Build(options).run();
  } catch (error) {
    if (options.signal.aborted || isUnavailable(error)) throw error;
    await transaction(pool, async (tx) => {
      await finish(tx, request.version, (error as Error).message);
      await forgetOffsets(tx, request);
      await dropNextTables(tx);
    });
    log.error({ err: error, version: request.version }, 'the new version of the read model was given up');
  }
}

async function forgetOffsets(tx: PoolClient, request: Request): Promise<void> {
  await tx.query('DELETE FROM millrace.inbox_offsets WHERE consumer_group = $1', [
    rebuildGroup(request.group, request.version),
  ]);
}

type Seek = (position: TopicPartition & { offset: bigint }) => void;

class Build {
  readonly #options: BuildOptions;
  readonly #group: string;
  readonly #stop = new AbortController();
  /** the offset to be read next, by partition */
  #next = new Map<string, bigint>();
  #located = Promise.resolve();
  #failure: unknown;

  constructor(options: BuildOptions) {
    this.#options = options;
    this.#group = rebuildGroup(options.request.group, options.request.version);
  }

  async run(): Promise<void> {
    const { kafka, topics, request, pool, signal } = this.#options;
    const consumer = kafka.consumer({
      group: this.#group,
      topics,
      from: 'earliest',
      onAssigned: (partitions) => {
        this.#located = this.#locate(partitions, seek);
      },
      onBatch: (batch) => this.#onBatch(batch, seek),
    });
    const seek: Seek = (position) => consumer.seek(position);
    consumer.start();
    try {
      for (;;) {
        await sleep(lookMs, undefined, { signal });
        if (this.#failure !== undefined) throw this.#failure;
        const progress = await this.#progress();
        if (!progress) continue;
        const { events, lag } = progress;
        if (!(await noteProgress(pool, request.version, events, lag)))
          throw new PlatformError('ERR_PROJECTION_REBUILD_CANCELLED', 'it was cancelled');
        if (lag === 0n && (await this.#switch())) return;
      }
    } finally {
      this.#stop.abort();
      await consumer.stop();
      await this.#located;
    }
  }

  async #locate(partitions: readonly TopicPartition[], seek: Seek): Promise<void> {
    try {
      const starts = partitions.map((partition) => ({ ...partition, offset: 0n }));
      const stored = await loadOffsets(this.#options.pool, this.#group, starts);
      this.#next = new Map(partitions.map((partition) => [nameOf(partition), stored.get(nameOf(partition))!.offset]));
      for (const partition of partitions) seek({ ...partition, offset: stored.get(nameOf(partition))!.offset });
    } catch (error) {
      this.#failure ??= error;
    }
  }

  async #onBatch(batch: IncomingBatch, seek: Seek): Promise<boolean> {
    const { topic, partition, nextOffset } = batch;
    await this.#located;
    const expected = this.#next.get(nameOf(batch));
    if (this.#stop.signal.aborted || this.#failure !== undefined || expected === undefined) return false;
    if (batch.fetchedOffset < expected) {
      seek({ topic, partition, offset: expected }); // an earlier seek can have come after the fetch that it should precede
      return false;
    }
    try {
      const isOwn = await transaction(this.#options.pool, async (tx) => {
        const moved = await moveOffsets(tx, this.#group, [{ topic, partition, expected, next: nextOffset, items: [] }]);
        if (moved.length > 0) return false;
        await this.#project(tx, batch);
        return true;
      });
      if (isOwn) this.#next.set(nameOf(batch), nextOffset);
      return isOwn;
    } catch (error) {
      if (!isUnavailable(error)) this.#failure ??= error;
      else await sleep(lookMs);
      return false;
    }
  }

  /** Skips the dead letters of the version in use: a replay goes to the version that is in use at that time. */
  async #project(tx: PoolClient, { topic, partition, messages, nextOffset }: IncomingBatch): Promise<void> {
    const { rows } = await tx.query<{ offset: string }>(
      `SELECT "offset" FROM millrace.dead_letters WHERE consumer_group = $1 AND topic = $2 AND partition = $3
         AND "offset" BETWEEN $4 AND $5 AND replayed_at IS NULL`,
      [this.#options.request.group, topic, partition, String(messages[0]!.offset), String(nextOffset)],
    );
    const dead = new Set(rows.map(({ offset }) => BigInt(offset)));
    const events = messages
      .filter((message) => !dead.has(message.offset) && !isTombstone(message))
      .map((message) => this.#options.decode(message));
    await tx.query(`SET LOCAL search_path = ${nextSchema}, public`);
    await this.#options.handle(tx, events);
  }

  /** @returns undefined while Kafka does not answer */
  async #progress(): Promise<{ events: bigint; lag: bigint } | undefined> {
    const { kafka, topics, log } = this.#options;
    let [events, lag] = [0n, 0n];
    for (const topic of topics) {
      const watermarks = await kafka.admin.watermarks(topic).catch((error: unknown) => {
        log.debug({ err: error, topic }, 'Kafka cannot be asked for its offsets');
      });
      if (!watermarks) return undefined;
      for (const [partition, { low, high }] of watermarks) {
        const next = this.#next.get(nameOf({ topic, partition })) ?? low;
        events += next > low ? next - low : 0n;
        lag += high > next ? high - next : 0n;
      }
    }
    return { events, lag };
  }

  /** @returns whether it has replaced the version in use */
  async #switch(): Promise<boolean> {
    const { pool, request, tables, log, onSwitched } = this.#options;
    try {
      const isSwitched = await transaction(pool, async (tx) => {
        if (!(await switchTables(tx, tables, request.group, this.#group))) return false;
        await finish(tx, request.version);
        return true;
      });
      if (!isSwitched) return false;
    } catch (error) {
      if (isLockFailure(error)) return false; // running queries have held the tables
      throw error;
    }
    log.info({ version: request.version }, 'a new version of the read model is in use');
    onSwitched();
    return true;
  }
}
