import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { PlatformError, toError } from '#platform/errors';
import { backoffMs, Waker } from '#platform/lifecycle';
import type { Health } from '#platform/health';
import type { Kafka, Producer } from '#platform/kafka';
import { sendTimeoutMs } from '#platform/kafka';
import type { Logger } from '#platform/telemetry';
import type { Pool, PoolClient } from '#platform/postgres';
import { assertSessions } from '#platform/postgres';
import { BacklogProbe } from './backlog-probe.ts';
import { answerMs, boundQueries, lockMs } from './bounded.ts';
import type { Cursor } from './cursor.ts';
import { FailingPartitions } from './failing-partitions.ts';
import type { OwnEvents } from './lost-events.ts';
import { metrics } from './metrics.ts';
import { OwnTopic } from './own-topic.ts';
import { ShardProgress } from './shard-progress.ts';
import { Parked } from './parked.ts';
import { publish } from './publish.ts';
import type { Publication } from './publish.ts';
import { advanceAndRead } from './read.ts';
import { Pace } from './pace.ts';
import type { ReadResult } from './read.ts';
import type { OutboxRow } from './rows.ts';
import { PublishedIds, settleServer } from './server.ts';
import {
  announce,
  fairShare,
  leaseMs,
  readOutboxShards,
  releaseShards,
  renewShards,
  sessionOwner,
  takeOver,
} from './shards.ts';
import { Tally } from './tally.ts';
import { TopicEnds } from './topic-ends.ts';
import { TopicPartitions } from './topic-partitions.ts';
import { Unparkable } from './unparkable.ts';
import { Upkeep } from './upkeep.ts';
import { outboxTable } from './write.ts';

const renewMs = 2_000;
/** how often the relay looks for parked messages that it does not know: a statement that was lost can park some later */
const parkedMs = 5_000;
/** after a read of more rows than this, or one that left rows, the next read follows at once */
const manyRows = 50;
/** how long the relay keeps a shard that another one is to get: until then its cursor can pass the published rows, which the
 * new owner sends again otherwise */
const followMs = 2_000;
const followPollMs = 5;
const keepPollMs = 50;
/** how long a session may take for its first answer: a connection of the pool can have been lost for long */
const firstAnswerMs = 2_000;
const backoff = { firstMs: 100, maxMs: 2_000 };

export interface OutboxRelayOptions {
  /** names the outbox in the service's health: the name of its database */
  name: string;
  pool: Pool;
  kafka: Kafka;
  log: Logger;
  health: Health;
  /** unique among the relays; default: generated. The shards have it as their owner, with the number of the session */
  owner?: string;
  /**
   * What is published instead of `millrace.outbox`: a view over an event store that has the columns of the outbox, its ids and
   * transaction ids drawn as there. Nothing of it is ever emptied.
   */
  source?: string;
  /**
   * Of a service whose database draws the ids of its events: nothing is published while their topic has events that the database has
   * not, because it was put back to an earlier time.
   */
  own?: OwnEvents;
}

/**
 * Publishes the outbox of a database in commit order per key, at least once. Any number of relays can run: each leases its
 * share of the shards, and a shard's cursor moves only after Kafka has acknowledged all rows before it. After a crash or a
 * failed send, the relay sends some events twice; the first copies of a key's events are always in order.
 */
export class OutboxRelay {
  readonly #pool: Pool;
  readonly #kafka: OutboxRelayOptions['kafka'];
  readonly #log: Logger;
  /** names it among the relays */
  readonly #relay: string;
  /** how many sessions it has had */
  #sessions = 0;
  /** names the present session, or the last one */
  #owner: string;
  /** earlier sessions that may still own shards which the present one is to take over */
  #earlier: string[] = [];
  readonly #source: string;
  readonly #aborting = new AbortController();
  readonly #waker = new Waker();
  #loop: Promise<void> | undefined;
  #stopping = false;
  #producer: Producer | undefined;
  #database = '';
  /** those of the outbox, whoever owns them */
  #shards: readonly number[] = [];
  #progress = new ShardProgress();
  #leasedUntil = 0;
  /** what to add to `performance.now()` for the time of PostgreSQL: brokers refuse records of a later hour than theirs, and the
   * clock of a pod is nobody's */
  #clock = 0;
  /** how many relays share this outbox */
  #relays = 1;
  #failure: Error | undefined;
  /** in a row */
  #failures = 0;
  #renewDue = 0;
  /** until when the relay may keep the shards that another one is to get; undefined where there are none */
  #keepUntil: number | undefined;
  readonly #parked: Parked;
  readonly #topics: TopicPartitions;
  readonly #ends: TopicEnds;
  readonly #own: OwnTopic | undefined;
  readonly #failing = new FailingPartitions();
  readonly #unparkable = new Unparkable();
  #publishedIds: PublishedIds;
  #markDue = 0;
  #parkedDue = 0;
  readonly #upkeep: Upkeep;
  readonly #probe: BacklogProbe;

  constructor({ name, pool, kafka, log, health, owner, source = outboxTable, own }: OutboxRelayOptions) {
    this.#pool = pool;
    this.#kafka = kafka;
    this.#log = log;
    this.#source = source;
    this.#relay = owner ?? `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`;
    this.#owner = sessionOwner(this.#relay, this.#sessions);
    this.#parked = new Parked({ source, log });
    this.#topics = new TopicPartitions(log);
    this.#ends = new TopicEnds(kafka.admin);
    this.#own = own && new OwnTopic({ kafka, log, own, ends: this.#ends });
    this.#publishedIds = new PublishedIds(source);
    this.#upkeep = new Upkeep({ pool, log, source });
    this.#probe = new BacklogProbe({ pool, log, source, progress: () => this.#progress });
    // no part of readiness: requests are answered while Kafka is away
    health.addWork(`outbox ${name}`, () => this.#check());
  }

  start(): void {
    this.#loop ??= this.#run();
    this.#probe.start();
  }

  /** Tells the relay that this process has committed events: it reads them at once, not at the next poll. */
  wake(): void {
    this.#waker.wake();
  }

  /** @throws while the relay cannot publish, or cannot publish everything */
  #check(): void {
    this.assertNotBehind();
    if (this.#failure)
      throw new PlatformError('ERR_OUTBOX_NOT_PUBLISHED', `the outbox is not published: ${this.#failure.message}`, {
        cause: this.#failure,
      });
    this.#probe.check();
    this.#ends.check();
  }

  /** @throws while the database is known to lack events that it has sent: a command would draw their ids again */
  assertNotBehind(): void {
    this.#own?.assertNotBehind();
  }

  /** Finishes the running batch and releases the shards. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#aborting.abort();
    this.#waker.close();
    await Promise.all([this.#loop, this.#probe.stop()]);
    await this.#ends.stop();
  }

  /** Keeps one database session open: a failure ends it, and after a pause the next one begins. */
  async #run(): Promise<void> {
    while (!this.#stopping) {
      try {
        await this.#session();
      } catch (error) {
        await this.#fail(error);
      }
    }
    await this.#producer?.close();
  }

  async #fail(error: unknown): Promise<void> {
    this.#noteFailure(error);
    await this.#waker.wait(backoffMs(this.#failures, backoff), false);
  }

  #noteFailure(error: unknown): void {
    const isNews = this.#failure === undefined;
    this.#failure = toError(error);
    metrics.failures.inc({ database: this.#database });
    const { message } = this.#failure;
    if (isNews) this.#log.warn({ err: error, database: this.#database }, 'the outbox is not published, trying again');
    else this.#log.debug({ reason: message, database: this.#database }, 'the outbox is still not published');
    this.#failures += 1;
  }

  #succeed(): void {
    if (this.#failure) this.#log.info({ database: this.#database }, 'the outbox is published again');
    this.#failure = undefined;
    this.#failures = 0;
  }

  async #session(): Promise<void> {
    this.#producer ??= await this.#kafka.producer();
    await assertSessions(this.#pool); // a relay sets up its session, and holds a lock of it
    const session = await this.#pool.connect();
    session.on('error', () => undefined); // the next query fails with it
    boundQueries(session, firstAnswerMs);
    try {
      await this.#prepare(session);
      await this.#work(session);
      await this.#finish(session);
      await releaseShards(session, this.#owner);
    } finally {
      session.release(true); // destroys it, because it has its own settings
    }
  }

  async #prepare(session: PoolClient): Promise<void> {
    // After a crash that loses a cursor, the relay only sends some events twice. The planner has to use the index of the
    // outbox, even if the table was empty when it was last analysed.
    await session.query(
      `SET synchronous_commit = off; SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan; SET lock_timeout = ${lockMs}`,
    );
    boundQueries(session, answerMs);
    const { database, shards } = await readOutboxShards(session);
    this.#database = database;
    this.#shards = shards;
    await settleServer(session, { source: this.#source, database, log: this.#log });
    await this.#own?.compare(session, this.#aborting.signal);
    await this.#takeOver(session);
    this.#forget(); // what PostgreSQL has not stored can be lost with it
  }

  /** Goes on with the shards of the last session, and of those before whose answer to this was lost. */
  async #takeOver(session: PoolClient): Promise<void> {
    this.#earlier.push(this.#owner);
    this.#owner = sessionOwner(this.#relay, (this.#sessions += 1));
    await takeOver(session, { from: this.#earlier, to: this.#owner });
    this.#earlier = [];
  }

  /** Forgets everything about the shards: it is read again from the database. */
  #forget(): void {
    this.#progress = new ShardProgress();
    this.#publishedIds = new PublishedIds(this.#source);
    this.#renewDue = 0;
  }

  /** Reads and publishes batch after batch until the relay stops. */
  async #work(session: PoolClient): Promise<void> {
    const pace = new Pace();
    while (!this.#stopping) {
      const start = performance.now();
      if (start >= this.#renewDue || !this.#mayPublish(start)) await this.#renew(session);
      await this.#upkeep.run({ database: this.#database, isFirst: this.#progress.has(0), now: start });
      const isRetrying = this.#parked.due <= start && (await this.#retryParked(session));
      const read = await this.#read(session);
      const done = await this.#publish(session, read);
      this.#progress.follow(read);
      if (done === 'none') continue;
      if (read.rows.length > 0) {
        pace.found(start, read.rows.length);
        if (!hasMore(read)) await this.#waker.wait(pace.rest(performance.now()), false);
      }
      if (done === 'all') this.#succeed();
      const pause = this.#keepUntil === undefined ? pace.pause(performance.now(), this.#relays) : followPollMs;
      if (!hasMore(read) && !isRetrying) await this.#waker.wait(pause, true);
    }
  }

  /** Waits a moment until the cursors have passed the published rows, and stores them. */
  async #finish(session: PoolClient): Promise<void> {
    this.#keepUntil = performance.now() + followMs;
    while (this.#progress.ahead.length > 0 && performance.now() < this.#keepUntil) {
      const read = await this.#read(session);
      if ((await this.#publish(session, read)) !== 'all') break;
      this.#progress.follow(read);
      await sleep(followPollMs);
    }
    await this.#store(session);
  }

  /** Whether a send that starts now ends before another relay can take the shards. */
  #mayPublish(now: number): boolean {
    return this.#leasedUntil - now > sendTimeoutMs + renewMs / 2;
  }

  async #renew(session: PoolClient): Promise<void> {
    await this.#store(session);
    const since = performance.now();
    const alive = await announce(session, { relay: this.#relay, owner: this.#owner });
    await this.#topics.follow(session); // afterwards: whoever sees the announcement knows that it is followed
    await this.#ends.follow(session);
    const share = fairShare(this.#shards, alive, this.#owner);
    const leaving = this.#progress.shards.filter((shard) => !share.includes(shard));
    this.#keepUntil = leaving.length > 0 ? (this.#keepUntil ?? since + followMs) : undefined;
    const keep = since < (this.#keepUntil ?? 0) ? leaving.filter((shard) => this.#progress.isAhead(shard)) : [];
    if (keep.length === 0) this.#keepUntil = undefined;
    const asked = performance.now();
    const { cursors, isAhead, now } = await renewShards(session, this.#owner, { share, keep });
    if (now !== undefined) this.#clock = now - (asked + performance.now()) / 2;
    const outbox = { source: this.#source, database: this.#database, log: this.#log };
    if (isAhead && (await settleServer(session, outbox))) {
      this.#forget();
      return;
    }
    this.#leasedUntil = since + leaseMs;
    this.#renewDue = since + (keep.length > 0 ? keepPollMs : renewMs);
    this.#relays = alive.length;
    const before = this.#progress.shards;
    this.#progress.own(cursors);
    const { shards } = this.#progress;
    metrics.shards.set({ database: this.#database }, shards.length);
    const isChanged = String(shards) !== String(before);
    if (isChanged || since >= this.#parkedDue) {
      await this.#parked.own(session, shards);
      this.#parkedDue = since + parkedMs;
    }
    if (isChanged) {
      this.#log.info(
        { database: this.#database, shards, relays: alive.length },
        'the relay publishes these shards of the outbox',
      );
    }
    if (since < this.#markDue) return;
    this.#markDue = since + renewMs;
    await this.#publishedIds.follow(session, this.#owner);
  }

  async #store(session: PoolClient): Promise<void> {
    const { moved } = this.#progress;
    if (moved.length === 0) return;
    const request = { source: this.#source, owner: this.#owner, moved, cursors: [], ahead: [], holdBack: true };
    this.#settle(moved, (await advanceAndRead(session, request)).moved);
  }

  async #read(session: PoolClient): Promise<ReadResult> {
    const { moved, cursors, ahead, farAhead } = this.#progress;
    if (cursors.length === 0) return { moved: [], horizon: 0, rows: [] };
    const holdBack = this.#keepUntil !== undefined;
    const request = { source: this.#source, owner: this.#owner, moved, cursors, ahead, holdBack, farAhead };
    const read = await advanceAndRead(session, request);
    this.#settle(moved, read.moved);
    return { ...read, rows: read.rows.filter((row) => this.#progress.has(row.shard)) };
  }

  /** The fence: another relay owns a shard whose cursor could not be stored. */
  #settle(tried: Cursor[], stored: number[]): void {
    const lost = this.#progress.stored(tried, stored);
    if (lost.length === 0) return;
    this.#log.warn({ database: this.#database, shards: lost }, 'another relay has taken these shards of the outbox');
  }

  /**
   * Publishes the rows of a read, parks what Kafka refuses, and pauses after a failure. A row that cannot be parked comes in each
   * read, and is tried again after a pause: the others do not wait for it.
   * @returns how many of them are published or parked; `some` only where no other failure was met than that of such a row
   */
  async #publish(session: PoolClient, { rows }: ReadResult): Promise<'all' | 'some' | 'none'> {
    if (rows.length === 0) return 'all';
    if (!this.#mayPublish(performance.now())) return 'none';
    const database = this.#database;
    const due = rows.toSorted((a, b) => a.id - b.id);
    const tried = this.#unparkable.without(due);
    const tally = new Tally();
    let isAnyDone = false;
    const { free, waiting } = await this.#parked.split(session, tried, tally);
    const end = metrics.publishing.startTimer({ database });
    const { failure, refused } = await publish(free, {
      ...this.#target(session),
      isRetry: false,
      tally,
      onPublished: (topic, messages, settled) => {
        isAnyDone = true;
        this.#progress.published(settled);
        metrics.published.inc({ database, topic }, messages);
      },
    });
    end();
    metrics.batch.observe({ database }, tried.length);
    const parking = await this.#parked.add(session, this.#owner, waiting.concat(refused));
    this.#progress.published(parking.parked.filter(({ row }) => tally.settle(row)).map(({ row }) => row.whole ?? row));
    if (failure) {
      await this.#fail(failure);
      return 'none';
    }
    if (!parking.failure && tried.length === due.length) return 'all';
    if (parking.failure) this.#noteFailure(parking.failure);
    this.#unparkable.note(parking.left);
    if (isAnyDone || parking.parked.length > 0) return 'some';
    await this.#waker.wait(backoffMs(this.#failures, backoff), true);
    return 'none';
  }

  /** Where the events of this relay go, and by which clock. */
  #target(session: PoolClient): Omit<Publication, 'isRetry' | 'tally' | 'onPublished'> {
    const producer = this.#producer!;
    const partitionsOf = async (topic: string) => {
      const partitions = await this.#topics.of(session, topic, await producer.partitionsOf(topic));
      // Kafka may have taken long to tell
      if (!this.#mayPublish(performance.now())) throw new PlatformError('ERR_UNAVAILABLE', 'the lease is about to end');
      return partitions;
    };
    return {
      producer,
      partitionsOf,
      failing: this.#failing,
      isNumbered: this.#own !== undefined,
      now: () => Math.round(performance.now() + this.#clock),
      onAppended: (to, first, count) => this.#ends.appended(to, first, count),
    };
  }

  /** Tries some of the parked messages again. @returns whether more of them can be tried at once */
  async #retryParked(session: PoolClient): Promise<boolean> {
    if (!this.#mayPublish(performance.now())) return false;
    const database = this.#database;
    return this.#parked.retry(session, async (rows) => {
      const published: OutboxRow[] = [];
      const outcome = await publish(rows, {
        ...this.#target(session),
        isRetry: true,
        isNumbered: false, // the outbox may no longer have its row
        tally: new Tally(),
        onPublished: (topic, messages, settled) => {
          published.push(...settled);
          metrics.published.inc({ database, topic }, messages);
        },
      });
      return { ...outcome, published };
    });
  }
}

function hasMore({ rows }: ReadResult): boolean {
  return rows.length > manyRows || rows.some(({ cut }) => cut);
}
