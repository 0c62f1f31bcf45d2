import { setTimeout as sleep } from 'node:timers/promises';
import { isLockFailure, PlatformError } from '#platform/errors';
import type { DecodeEvent, ReceivedEvent } from '#platform/contract';
import { rebuildGroup } from '#platform/declarations';
import { isTombstone, moveOffsets } from '#platform/inbox';
import type { Handle } from '#platform/inbox';
import { nameOf } from '#platform/kafka';
import type { IncomingBatch, IncomingMessage, Kafka, TopicPartition } from '#platform/kafka';
import type { Logger } from '#platform/telemetry';
import { isUnavailable, transaction } from '#platform/postgres';
import type { Pool, PoolClient } from '#platform/postgres';
import { Logs, TopicChanged } from './logs.ts';
import { beginBuilding, finish, noteProgress } from './requests.ts';
import type { Request } from './requests.ts';
import { forgetSkipped, noteSkipped, takeReplayed } from './skipped.ts';
import { createNextTables, dropNextTables, holdVersionInUse, nextSchema, switchTables } from './tables.ts';
import type { Switch } from './tables.ts';

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
/** how long a batch waits before it looks again how far the version in use has read */
const waitMs = 20;
/** how many messages the build may be behind when it stops the version in use to catch up, and how long that may take */
const nearEnough = 1_000n;
const holdMs = 500;
/** how long the version in use goes on after an attempt in vain */
const restMs = 5_000;

/**
 * Builds a version of the read model beside the one in use, from the first event on, and switches when it has caught up.
 * After an interruption it continues, because its offsets are in the database, with its tables. If it cannot handle an event
 * that the version in use has handled, the build ends, and the version in use stays.
 *
 * It reads only what the version in use has read: that decides which messages are dead letters, and which wait behind them. The
 * build leaves these out, and handles one when its replay has succeeded, so that in both versions the messages of a key have
 * their effects once, in one order.
 */
export async function buildVersion(options: BuildOptions): Promise<void> {
  const { request, pool, log } = options;
  if (request.phase === 'Requested') {
    await transaction(pool, async (tx) => {
      await createNextTables(tx, options.tables);
      await forgetProgress(tx, request);
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
      await dropBuild(tx, request);
    });
    log.error({ err: error, version: request.version }, 'the new version of the read model was given up');
  }
}

/** Drops what a build has made. */
export async function dropBuild(tx: PoolClient, request: Omit<Request, 'phase'>): Promise<void> {
  await forgetProgress(tx, request);
  await dropNextTables(tx);
}

async function forgetProgress(tx: PoolClient, request: Omit<Request, 'phase'>): Promise<void> {
  await forgetSkipped(tx, request);
  await tx.query('DELETE FROM millrace.inbox_offsets WHERE consumer_group = $1', [
    rebuildGroup(request.group, request.version),
  ]);
}

type Seek = (position: TopicPartition & { offset: bigint }) => void;

class Build {
  readonly #options: BuildOptions;
  readonly #group: string;
  readonly #logs: Logs;
  readonly #stop = new AbortController();
  /** the offset to be read next, by partition */
  #next = new Map<string, bigint>();
  /** up to where partitions have no records to read: those in front are not for consumers, or are gone */
  #gaps = new Map<string, TopicPartition & { offset: bigint }>();
  #located = Promise.resolve();
  #failure: unknown;
  /** when the version in use may be stopped again */
  #holdFrom = 0;

  constructor(options: BuildOptions) {
    this.#options = options;
    this.#group = rebuildGroup(options.request.group, options.request.version);
    this.#logs = new Logs(options.kafka.admin, options.topics);
  }

  async run(): Promise<void> {
    const { kafka, topics, request, pool, signal } = this.#options;
    const consumer = kafka.consumer({
      group: this.#group,
      topics,
      from: 'earliest',
      onAssigned: (partitions) => {
        this.#gaps.clear();
        this.#located = this.#locate(partitions, seek);
      },
      onPassed: (position) => this.#gaps.set(nameOf(position), position),
      onBatch: (batch) => this.#onBatch(batch, seek),
    });
    const seek: Seek = (position) => consumer.seek(position);
    consumer.start();
    try {
      for (;;) {
        await sleep(lookMs, undefined, { signal });
        if (this.#failure !== undefined) throw this.#failure;
        const look = await this.#logs.look(this.#next);
        const { ahead, unread } = await this.#compare();
        if (unread.length > 0) look.obstacle ??= `the version in use does not read ${unread.join(', ')}`;
        if (!(await noteProgress(pool, request.version, look)))
          throw new PlatformError('ERR_PROJECTION_REBUILD_CANCELLED', 'it was cancelled');
        if (!look.figures) continue; // a topic may be another one now
        for (const start of look.starts) this.#gaps.set(nameOf(start), start);
        await this.#passGaps();
        await this.#makeUpForReplays();
        if (ahead === undefined || ahead > nearEnough || unread.length > 0 || performance.now() < this.#holdFrom)
          continue;
        if (await this.#switch()) return;
      }
    } finally {
      this.#stop.abort();
      await consumer.stop();
      await this.#located;
    }
  }

  async #locate(partitions: readonly TopicPartition[], seek: Seek): Promise<void> {
    try {
      this.#next = await this.#logs.locate(this.#options.pool, this.#group, partitions);
      for (const partition of partitions) seek({ ...partition, offset: this.#next.get(nameOf(partition))! });
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
      const next = await transaction(this.#options.pool, (tx) => this.#apply(tx, batch, expected));
      if (next === expected) await sleep(waitMs);
      if (next === undefined || next === expected) return false;
      this.#next.set(nameOf(batch), next);
      if (next < nextOffset) seek({ topic, partition, offset: next });
      return next === nextOffset;
    } catch (error) {
      if (!isUnavailable(error)) this.#failure ??= error;
      else await sleep(lookMs);
      return false;
    }
  }

  /**
   * Applies what the version in use has read of a batch.
   * @returns the offset after it, or undefined if another replica has moved the offset
   */
  async #apply(tx: PoolClient, batch: IncomingBatch, expected: bigint): Promise<bigint | undefined> {
    const advance = await this.#advance(tx, batch, expected, batch.nextOffset);
    if (advance === undefined || advance.next === expected) return advance?.next;
    const { next, skipped } = advance;
    // after the dead letters are noted: of a key, no message is taken from the log whose replay came after one that is not seen yet
    await this.#makeUp(tx, batch);
    const events = batch.messages
      .filter((message) => message.offset < next && !skipped.has(message.offset) && !isTombstone(message))
      .map((message) => this.#options.decode(message));
    await this.#handle(tx, events);
    return next;
  }

  /**
   * Moves the offset of a partition to `end`, as far as the version in use has read, and notes the dead letters on the way.
   * @returns the offset and those of the dead letters; undefined if another replica has moved it
   * @throws TopicChanged if the version in use reads another log, or reads this one again
   */
  async #advance(
    tx: PoolClient,
    { topic, partition }: TopicPartition,
    expected: bigint,
    end: bigint,
  ): Promise<{ next: bigint; skipped: Set<bigint> } | undefined> {
    const used = await this.#usedOffset(tx, { topic, partition });
    if (used < expected) throw new TopicChanged(topic);
    const next = used < end ? used : end;
    if (next <= expected) return { next: expected, skipped: new Set() };
    const moved = await moveOffsets(tx, this.#group, [{ topic, partition, expected, next }]);
    if (moved.length > 0) return undefined;
    const range = { topic, partition, from: expected, to: next };
    return { next, skipped: await noteSkipped(tx, this.#options.request, range) };
  }

  /** Moves offsets past what is not there to be read, as far as the version in use has. */
  async #passGaps(): Promise<void> {
    for (const [name, { offset, ...partition }] of this.#gaps) {
      const expected = this.#next.get(name);
      if (expected === undefined || offset <= expected) continue;
      const advance = await transaction(this.#options.pool, (tx) => this.#advance(tx, partition, expected, offset));
      if (advance && this.#next.get(name) === expected) this.#next.set(name, advance.next);
    }
  }

  async #usedOffset(tx: PoolClient, { topic, partition }: TopicPartition): Promise<bigint> {
    const { rows } = await tx.query<{ next: string; topicId: string | null }>(
      `SELECT next_offset AS next, topic_id AS "topicId" FROM millrace.inbox_offsets
       WHERE consumer_group = $1 AND topic = $2 AND partition = $3`,
      [this.#options.request.group, topic, partition],
    );
    const [used] = rows;
    this.#logs.check({ topic, partition }, used?.topicId ?? undefined);
    return BigInt(used?.next ?? 0);
  }

  /** Handles events in the new version. */
  async #handle(tx: PoolClient, events: ReceivedEvent[]): Promise<void> {
    await tx.query(`SET LOCAL search_path = ${nextSchema}, public`);
    await this.#options.handle(tx, events);
  }

  /** Handles the dead letters of a partition, or of all, that were left out and are replayed now. */
  async #makeUp(tx: PoolClient, at?: TopicPartition): Promise<void> {
    const { request, decode } = this.#options;
    for (;;) {
      const replayed = await takeReplayed(tx, request, at);
      if (replayed.length === 0) return;
      await this.#handle(
        tx,
        replayed.map((message) => decode(message)),
      );
    }
  }

  /** Does so for all partitions: those without new messages too. */
  async #makeUpForReplays(): Promise<void> {
    await transaction(this.#options.pool, async (tx) => {
      await tx.query(
        'SELECT FROM millrace.inbox_offsets WHERE consumer_group = $1 ORDER BY topic, partition FOR UPDATE',
        [this.#group],
      );
      await this.#makeUp(tx);
    });
  }

  /**
   * How many messages the version in use is ahead, undefined where neither has found its place, and the partitions of the build that it
   * does not read.
   */
  async #compare(): Promise<{ ahead: bigint | undefined; unread: string[] }> {
    const { pool, request, topics } = this.#options;
    const { rows } = await pool.query<{ ahead: string | null; unread: string[] }>(
      `WITH used AS (SELECT * FROM millrace.inbox_offsets WHERE consumer_group = $1 AND topic = ANY ($3)),
         new AS (SELECT * FROM millrace.inbox_offsets WHERE consumer_group = $2 AND topic = ANY ($3))
       SELECT sum(greatest(0, used.next_offset - coalesce(new.next_offset, 0))) AS ahead,
         coalesce(array_agg(topic || '/' || partition ORDER BY topic, partition) FILTER (WHERE used.topic IS NULL), '{}') AS unread
       FROM used FULL JOIN new USING (topic, partition)`,
      [request.group, this.#group, topics],
    );
    const { ahead, unread } = rows[0]!;
    return { ahead: ahead === null ? undefined : BigInt(ahead), unread };
  }

  /**
   * Stops the version in use, reads the last messages that it has read, and takes its place.
   * @returns whether it has
   */
  async #switch(): Promise<boolean> {
    const { pool, request, topics, tables, log, onSwitched } = this.#options;
    const versions: Switch = { tables, group: request.group, building: this.#group, topics };
    try {
      const isSwitched = await transaction(pool, async (tx) => {
        const ends = await holdVersionInUse(tx, versions);
        await this.#reach(ends);
        if (!(await switchTables(tx, versions, () => this.#makeUp(tx)))) return false;
        await forgetSkipped(tx, request);
        await finish(tx, request.version);
        return true;
      });
      if (!isSwitched) {
        this.#holdFrom = performance.now() + restMs;
        return false;
      }
    } catch (error) {
      if (isLockFailure(error)) return false; // running queries have held the tables
      throw error;
    }
    log.info({ version: request.version }, 'a new version of the read model is in use');
    onSwitched();
    return true;
  }

  /** Waits until the build has read up to these offsets; not for long, because the version in use stands still. */
  async #reach(ends: readonly (TopicPartition & { next: bigint })[]): Promise<void> {
    const deadline = performance.now() + holdMs;
    const isBehind = () => ends.some((end) => (this.#next.get(nameOf(end)) ?? 0n) < end.next);
    while (isBehind() && this.#failure === undefined && performance.now() < deadline) {
      await this.#passGaps();
      await sleep(waitMs, undefined, { signal: this.#options.signal });
    }
  }
}
