import { sendTimeoutMs } from '#platform/kafka';
import { fakeKafka } from '#platform/kafka/testing/fake.ts';
import type { Versions } from '#streams/engine';
import { randomOf } from '#test/random.ts';
import type { Random } from '#test/random.ts';
import { Cast } from './cast.ts';
import { check } from './check.ts';
import type { Finding } from './check.ts';
import type { SimulatedClock } from './clock.ts';
import type { ScheduledDatabase } from './database.ts';
import { Disturbances } from './disturbances.ts';
import { deadLetters, Outcome } from './outcome.ts';
import { inboxGroup, recordHeader, startInbox, startOperator, startRelay } from './parts.ts';
import { Scheduler } from './scheduler.ts';
import { checkStreams, resultsTopic, startWorker } from './streams.ts';
import { TopicLog } from './topic-log.ts';
import { drawChanges, firstEventOf, topic, write } from './writer.ts';
import type { Change } from './writer.ts';

const partitions = 3;
/** how long everything may take to catch up after the last fault, in simulated milliseconds */
const catchUpMs = 60_000;
/** the same after a topic was away: the relay tries again after up to half a minute, and then what waits behind that */
const catchUpOfTopicMs = 120_000;
const lookEveryMs = 200;
/** how often an operator asks for the replay of dead letters, in simulated milliseconds */
const replayEveryMs = 1_000;

/** What the schedules of a run share. */
export interface Stage {
  clock: SimulatedClock;
  database: ScheduledDatabase;
  /** the stream queries */
  versions: Versions;
}

export interface ScheduleResult {
  seed: number;
  findings: Finding[];
  /** calls that took effect or were broken, one at a time */
  steps: number;
  crashes: number;
  /** how long it lasted for those in it */
  simulatedMs: number;
  trace: readonly string[];
}

const clear = `
  DELETE FROM aggregates; DELETE FROM unrelated; DELETE FROM written; DELETE FROM effects;
  DELETE FROM millrace.outbox; DELETE FROM millrace.outbox_parked; DELETE FROM millrace.outbox_relays;
  DELETE FROM millrace.inbox_offsets; DELETE FROM millrace.dead_letters; DELETE FROM millrace.blocked_keys;
  DELETE FROM stream_windows; DELETE FROM stream_counters; DELETE FROM stream_watermarks; DELETE FROM stream_recent_ids;
  DELETE FROM stream_members; DELETE FROM stream_letters; DELETE FROM alerts; DELETE FROM feed;
  UPDATE millrace.outbox_shards SET xid = '0', id = 0, last_id = 0, owner = NULL, lease_until = NULL;`;

/** What a seed draws: who takes part, what goes wrong, and in which order everything happens. */
export class Schedule {
  readonly #seed: number;
  readonly #random: Random;
  readonly #stage: Stage;
  readonly #scheduler: Scheduler;
  readonly #kafka: ReturnType<typeof fakeKafka>;
  readonly #cast: Cast;
  readonly #log: TopicLog;
  /** what the writers have not done yet */
  readonly #writing = new Set<Change[]>();
  #records = 0;
  /** for people: what it does */
  #phase = 'it begins';

  /** @param signal ends it, wherever it is */
  constructor(seed: number, stage: Stage, signal: AbortSignal) {
    this.#seed = seed;
    this.#stage = stage;
    const random = randomOf(seed);
    this.#random = random;
    const { clock, database } = stage;
    const scheduler = new Scheduler({
      random,
      clock,
      signal,
      onTime: () => database.setTime(clock.date),
      onCrash: (actor) => this.#cast.onCrash(actor),
    });
    this.#scheduler = scheduler;
    this.#cast = new Cast({ random, clock, database, scheduler });
    const topics = { [topic]: partitions, [resultsTopic]: partitions, [deadLetters]: 1 };
    this.#kafka = fakeKafka(topics, {
      network: (call, effect) =>
        scheduler.call({
          what: call,
          server: 'Kafka',
          effect: async () => effect(),
          lose: () => new Error('the connection to the broker is lost'),
          timeoutMs: sendTimeoutMs,
          isRepeatable: call.startsWith('send'),
        }),
      onAppend: ({ topic: to, message }) => {
        if (to === topic) message.headers[recordHeader] = String((this.#records += 1));
      },
    });
    const offsets = () => database.offsetsOf(inboxGroup);
    this.#log = new TopicLog({ random, clock, scheduler, kafka: this.#kafka, partitions, offsets });
    database.use(scheduler);
  }

  /** @throws once the signal is aborted, where something goes on in this process */
  async play(): Promise<ScheduleResult> {
    const { clock, database, versions } = this.#stage;
    const { control } = database;
    const scheduler = this.#scheduler;
    const log = this.#log;
    await control.query(clear);
    await this.#begin();
    const { disturbances, hasWorkers } = this.#assemble();
    const outcome = new Outcome({ clock, control, kafka: this.#kafka, cast: this.#cast, log, hasWorkers });
    this.#cast.begin();
    this.#phase = 'it waits until all is written, the faults have ended, and the topic is there';
    await scheduler.runUntil(() => this.#writing.size === 0 && clock.now >= disturbances.until && !log.isAway);
    this.#calm(disturbances);
    const findings: Finding[] = [];
    const waitMs = log.wasDeleted ? catchUpOfTopicMs : catchUpMs;
    const isComplete = await this.#catchUp(outcome, clock.now + waitMs);
    if (!isComplete) findings.push(await outcome.incomplete(waitMs));
    findings.push(...check(await outcome.facts()).filter(({ kind }) => isComplete || kind !== 'lost'));
    if (isComplete && hasWorkers)
      findings.push(...(await checkStreams(control, versions, this.#kafka.sent, clock.now)));
    const result = this.#result(findings);
    this.#phase = 'it waits for the sessions of all who took part to end';
    this.#cast.end();
    await scheduler.runUntil(() => !scheduler.isTrailing);
    return result;
  }

  /** So far. */
  get steps(): number {
    return this.#scheduler.steps;
  }

  /** Gives it up, because it does not end: nobody in it does anything more. */
  giveUp(): ScheduleResult {
    const at = (this.#stage.clock.now / 1_000).toFixed(1);
    const what = `it does not end: after ${this.steps} steps, at ${at} s of its own, ${this.#phase}`;
    const result = this.#result([{ kind: 'endless', what }]);
    this.#cast.end();
    return result;
  }

  #result(findings: Finding[]): ScheduleResult {
    const { steps, trace } = this.#scheduler;
    const simulatedMs = Math.round(this.#stage.clock.now);
    return { seed: this.#seed, findings, steps, crashes: this.#cast.crashes, simulatedMs, trace: [...trace] };
  }

  /** the time of the first events of the writers */
  get #start(): number {
    return Math.floor(this.#stage.clock.date / 60_000) * 60_000 - 600_000;
  }

  /** Puts an event into each partition. */
  async #begin(): Promise<void> {
    const start = this.#start;
    for (let partition = 0; partition < partitions; partition += 1) {
      const { id, key, message } = firstEventOf(partition, start);
      await this.#stage.database.control.query('INSERT INTO written VALUES ($1, $2, 1, false)', [id, key]);
      await this.#kafka.append(topic, partition, message);
    }
  }

  /** Draws who takes part and what goes wrong. */
  #assemble(): { disturbances: Disturbances; hasWorkers: boolean } {
    const random = this.#random;
    const scheduler = this.#scheduler;
    const cast = this.#cast;
    const { clock, database, versions } = this.#stage;
    const { pool } = database;
    const { kafka } = this.#kafka;
    const maxBatch = random.pick([1, 3, 1_000]);
    const lasts = random.int(500, 6_000);
    scheduler.rates = { fault: random.pick([0, 0.005, 0.02, 0.06]), slow: random.pick([0, 0.02, 0.1]) };
    const wakeAll = () => cast.wake();
    const poison = random.pick([0, 0.05, 0.2]);
    const curedAt = random.int(0, 2 * lasts);
    const isCured = () => cast.isCalm || clock.now >= curedAt;
    const start = this.#start;
    for (let i = random.int(1, 3); i > 0; i -= 1) {
      const changes = drawChanges(random, poison);
      this.#writing.add(changes);
      cast.add(`writer-${i}`, () => {
        void write(pool, changes, { start, onCommitted: wakeAll }).then(() => this.#writing.delete(changes));
        return undefined;
      });
    }
    for (let i = random.int(1, 2); i > 0; i -= 1)
      cast.add(`relay-${i}`, ({ name }) => startRelay(name, { pool, kafka }));
    for (let i = random.int(1, 2); i > 0; i -= 1)
      cast.add(`inbox-${i}`, () => startInbox([topic], { pool, kafka }, { maxBatch, isCured }));
    if (poison > 0) cast.add('operator', () => startOperator({ pool, kafka }, replayEveryMs));
    const deletes = random.chance(0.25);
    if (deletes) scheduler.plan(random.int(0, lasts), () => this.#log.delete());
    // of the events in a deleted topic nobody can say which ones a worker has counted
    const workers = deletes ? 0 : random.int(0, 2);
    const lingerMs = random.pick([0, 100]);
    for (let i = workers; i > 0; i -= 1)
      cast.add(`worker-${i}`, () => startWorker(versions, { pool, kafka, onEmitted: wakeAll, lingerMs }));
    const disturbances = new Disturbances({ random, clock, scheduler, kafka: this.#kafka, cast, until: lasts });
    for (let i = random.int(0, 3); i > 0; i -= 1) scheduler.plan(random.int(0, lasts), () => disturbances.draw());
    // a lock that comes when most events have had their effects meets none
    if (random.chance(0.25)) scheduler.plan(0, () => disturbances.lock('effects'));
    return { disturbances, hasWorkers: workers > 0 };
  }

  #calm(disturbances: Disturbances): void {
    disturbances.end();
    this.#cast.isCalm = true;
    this.#scheduler.rates = { fault: 0, slow: 0 };
    this.#scheduler.note('the faults end');
  }

  /** Goes on until everything has had its effects. @returns whether it has, by that time */
  async #catchUp(outcome: Outcome, until: number): Promise<boolean> {
    const { clock } = this.#stage;
    const scheduler = this.#scheduler;
    this.#phase = 'it waits until everything has caught up';
    let isComplete = false;
    const look = async () => {
      isComplete = !scheduler.isTrailing && (await outcome.isComplete());
      scheduler.plan(clock.now + lookEveryMs, look);
    };
    scheduler.plan(clock.now, look);
    await scheduler.runUntil(() => isComplete || clock.now > until);
    return isComplete;
  }
}
