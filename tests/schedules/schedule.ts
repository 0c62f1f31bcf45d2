import { deadLetterTopic } from '#platform/declarations';
import { brokerError } from '#platform/kafka/testing/fake-error.ts';
import { fakeKafka } from '#platform/kafka/testing/fake.ts';
import { sendTimeoutMs } from '#platform/kafka';
import type { Versions } from '#streams/engine';
import { randomOf } from '#test/random.ts';
import type { Random } from '#test/random.ts';
import { currentActor, runAs } from './actor.ts';
import type { Actor } from './actor.ts';
import { check } from './check.ts';
import type { Facts, Finding, LoggedRecord } from './check.ts';
import { SimulatedClock } from './clock.ts';
import { ScheduledDatabase } from './database.ts';
import { inboxGroup, recordHeader, startInbox, startOperator, startRelay } from './parts.ts';
import type { Part } from './parts.ts';
import { Scheduler } from './scheduler.ts';
import type { Outage } from './scheduler.ts';
import { checkStreams, declareQueries, hasClosed, resultsTopic, startWorker, streamGroup } from './streams.ts';
import { drawChanges, firstEventOf, keys, tables, topic, write } from './writer.ts';
import type { Change } from './writer.ts';

const partitions = 3;
/** how long everything may take to catch up after the last fault, in simulated milliseconds */
const catchUpMs = 60_000;
/** the same after a topic was away: the relay tries again after up to half a minute, and then what waits behind that */
const catchUpOfTopicMs = 120_000;
const lookEveryMs = 200;
/** how often an operator asks for the replay of dead letters, in simulated milliseconds */
const replayEveryMs = 1_000;
const deadLetters = deadLetterTopic(inboxGroup);

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

/** A place in the cast: who has it crashes, and another one takes it. */
interface Role {
  name: string;
  start: (actor: Actor) => Part;
  actor: Actor | undefined;
  part: Part | undefined;
}

/** The database, the clock and the process of all schedules of a run. */
export class Stand {
  readonly clock: SimulatedClock;
  readonly database: ScheduledDatabase;
  /** the stream queries */
  readonly versions: Versions;

  private constructor(database: ScheduledDatabase, versions: Versions) {
    this.database = database;
    this.versions = versions;
    const noon = Math.floor(Date.now() / 86_400_000) * 86_400_000 + 43_200_000;
    this.clock = new SimulatedClock(noon, () => {
      const actor = currentActor();
      return () => actor?.isAlive !== false;
    });
  }

  static async open(): Promise<Stand> {
    const database = await ScheduledDatabase.create(tables);
    return new Stand(database, await database.prepare(declareQueries));
  }

  async close(): Promise<void> {
    await this.database.close();
  }

  /** Plays the schedule of a seed. */
  async play(seed: number): Promise<ScheduleResult> {
    this.clock.reset();
    this.clock.install();
    try {
      return await new Schedule(seed, this).play();
    } finally {
      this.clock.uninstall();
    }
  }
}

const disturbances = ['rebalance', 'stop', 'crash', 'refusal', 'no-database', 'no-kafka', 'locked'] as const;

const clear = `
  DELETE FROM aggregates; DELETE FROM unrelated; DELETE FROM written; DELETE FROM effects;
  DELETE FROM millrace.outbox; DELETE FROM millrace.outbox_parked; DELETE FROM millrace.outbox_relays;
  DELETE FROM millrace.inbox_offsets; DELETE FROM millrace.dead_letters; DELETE FROM millrace.blocked_keys;
  DELETE FROM stream_windows; DELETE FROM stream_counters; DELETE FROM stream_watermarks; DELETE FROM stream_recent_ids;
  DELETE FROM stream_members; DELETE FROM alerts; DELETE FROM feed;
  UPDATE millrace.outbox_shards SET xid = '0', id = 0, last_id = 0, owner = NULL, lease_until = NULL;`;

class Schedule {
  readonly #seed: number;
  readonly #random: Random;
  readonly #stand: Stand;
  readonly #scheduler: Scheduler;
  readonly #kafka: ReturnType<typeof fakeKafka>;
  readonly #roles: Role[] = [];
  #actors = 0;
  #crashes = 0;
  /** what the writers have not done yet */
  readonly #writing = new Set<Change[]>();
  #workers = 0;
  #records = 0;
  /** when the handler of the inbox begins to take poison events */
  #curedAt = 0;
  /** the log of the topic that was deleted */
  #gone: LoggedRecord[] = [];
  #isTopicAway = false;
  /** whether faults have ended */
  #isCalm = false;
  /** whether nobody takes a role any more: who enters now would have connections that nobody ends */
  #isOver = false;

  constructor(seed: number, stand: Stand) {
    this.#seed = seed;
    this.#stand = stand;
    this.#random = randomOf(seed);
    const { clock, database } = stand;
    const random = this.#random;
    this.#scheduler = new Scheduler({
      random,
      clock,
      onTime: () => database.setTime(clock.date),
      onCrash: (actor) => this.#onCrash(actor),
    });
    const topics = { [topic]: partitions, [resultsTopic]: partitions, [deadLetters]: 1 };
    this.#kafka = fakeKafka(topics, {
      network: (call, effect) =>
        this.#scheduler.call({
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
    database.use(this.#scheduler);
  }

  async play(): Promise<ScheduleResult> {
    const { clock, database } = this.#stand;
    const scheduler = this.#scheduler;
    await database.control.query(clear);
    await this.#begin();
    const faultsEnd = this.#cast();
    const findings: Finding[] = [];
    await scheduler.runUntil(() => this.#writing.size === 0 && clock.now >= faultsEnd && !this.#isTopicAway);
    this.#calm();
    let isDone = false;
    const end = clock.now + this.#catchUpMs;
    const look = async () => {
      isDone = !scheduler.isTrailing && (await this.#isCaughtUp());
      scheduler.plan(clock.now + lookEveryMs, look);
    };
    scheduler.plan(clock.now, look);
    await scheduler.runUntil(() => isDone || clock.now > end);
    if (!isDone) findings.push(...(await this.#stuck()));
    const facts = await this.#facts();
    findings.push(...check(facts).filter(({ kind }) => isDone || kind !== 'lost'));
    if (isDone && this.#workers > 0)
      findings.push(...(await checkStreams(database.control, this.#stand.versions, this.#kafka.sent, clock.now)));
    const simulatedMs = Math.round(clock.now);
    const trace = [...scheduler.trace];
    this.#isOver = true;
    for (const { actor } of this.#roles) if (actor) scheduler.crash(actor);
    await scheduler.runUntil(() => !scheduler.isTrailing);
    return { seed: this.#seed, findings, steps: scheduler.steps, crashes: this.#crashes, simulatedMs, trace };
  }

  /** the time of the first events of the writers */
  get #start(): number {
    return Math.floor(this.#stand.clock.date / 60_000) * 60_000 - 600_000;
  }

  /** Puts an event into each partition. */
  async #begin(): Promise<void> {
    const start = this.#start;
    for (let partition = 0; partition < partitions; partition += 1) {
      const { id, key, message } = firstEventOf(partition, start);
      await this.#stand.database.control.query('INSERT INTO written VALUES ($1, $2, 1, false)', [id, key]);
      await this.#kafka.append(topic, partition, message);
    }
  }

  /** Draws who takes part and what goes wrong. @returns when the faults end */
  #cast(): number {
    const random = this.#random;
    const scheduler = this.#scheduler;
    const { pool } = this.#stand.database;
    const { kafka } = this.#kafka;
    const maxBatch = random.pick([1, 3, 1_000]);
    const lasts = random.int(500, 6_000);
    scheduler.rates = { fault: random.pick([0, 0.005, 0.02, 0.06]), slow: random.pick([0, 0.02, 0.1]) };
    const isCured = () => this.#isCalm || this.#stand.clock.now >= this.#curedAt;
    const wakeRelays = () => {
      for (const { part, actor } of this.#roles) if (actor?.isAlive) part?.wake();
    };
    const poison = random.pick([0, 0.05, 0.2]);
    this.#curedAt = random.int(0, 2 * lasts);
    const start = this.#start;
    for (let i = random.int(1, 3); i > 0; i -= 1) {
      const changes = drawChanges(random, poison);
      this.#writing.add(changes);
      this.#add(`writer-${i}`, () => {
        void write(pool, changes, { start, onCommitted: wakeRelays }).then(() => this.#writing.delete(changes));
        return undefined;
      });
    }
    for (let i = random.int(1, 2); i > 0; i -= 1)
      this.#add(`relay-${i}`, ({ name }) => startRelay(name, { pool, kafka }));
    for (let i = random.int(1, 2); i > 0; i -= 1)
      this.#add(`inbox-${i}`, () => startInbox([topic], { pool, kafka }, { maxBatch, isCured }));
    if (poison > 0) this.#add('operator', () => startOperator({ pool, kafka }, replayEveryMs));
    const deletes = random.chance(0.25);
    if (deletes) scheduler.plan(random.int(0, lasts), () => this.#deleteTopic());
    // of the events in a deleted topic nobody can say which ones a worker has counted
    this.#workers = deletes ? 0 : random.int(0, 2);
    const lingerMs = random.pick([0, 100]);
    for (let i = this.#workers; i > 0; i -= 1)
      this.#add(`worker-${i}`, () =>
        startWorker(this.#stand.versions, { pool, kafka, onEmitted: wakeRelays, lingerMs }),
      );
    for (let i = random.int(0, 3); i > 0; i -= 1) scheduler.plan(random.int(0, lasts), () => this.#disturb(lasts));
    for (const role of this.#roles) this.#enter(role);
    return lasts;
  }

  #add(name: string, start: (actor: Actor) => Part | undefined): void {
    this.#roles.push({ name, start: start as Role['start'], actor: undefined, part: undefined });
  }

  /** A new instance takes a role. */
  #enter(role: Role): void {
    if (this.#isOver) return;
    const actor = { name: `${role.name}#${(this.#actors += 1)}`, isAlive: true };
    role.actor = actor;
    role.part = runAs(actor, () => role.start(actor));
  }

  #onCrash(actor: Actor): void {
    const { clock, database } = this.#stand;
    const random = this.#random;
    this.#crashes += 1;
    database.endSessionsOf(actor, () => (random.chance(0.3) ? random.int(1, 3_000) : 0));
    const role = this.#roles.find((one) => one.actor === actor);
    if (!role) return;
    role.part = undefined;
    const wait = this.#isCalm ? 1 : random.pick([1, random.int(1, 500), random.int(1, 5_000)]);
    this.#scheduler.plan(clock.now + wait, () => this.#enter(role));
  }

  /** One fault that is not of a single call. */
  #disturb(lasts: number): void {
    if (this.#isCalm) return;
    const random = this.#random;
    const scheduler = this.#scheduler;
    const { clock } = this.#stand;
    const role = random.pick(this.#roles);
    const kind = random.pick(disturbances);
    scheduler.note(`${kind} ${role.name}`);
    if (kind === 'rebalance') this.#kafka.rebalance(random.pick([inboxGroup, streamGroup]));
    else if (kind === 'crash') scheduler.crash(role.actor!);
    else if (kind === 'stop') this.#replace(role);
    else if (kind === 'refusal') this.#refuse();
    else {
      const until = Math.min(lasts, clock.now + random.int(100, 4_000));
      scheduler.outage = { until, fateOf: outageOf(kind, role.name) };
    }
  }

  /** Kafka refuses the events of a key, or of the whole topic, for a while. */
  #refuse(): void {
    const random = this.#random;
    const { clock } = this.#stand;
    const key = random.pick([undefined, ...keys]);
    const until = clock.now + random.int(100, 2_000);
    this.#kafka.failWith((to, _partition, messages) => {
      if (to !== topic || this.#isCalm || clock.now > until) return undefined;
      if (key === undefined) return brokerError('TOPIC_AUTHORIZATION_FAILED');
      return messages.some((message) => message.key === key) ? brokerError('INVALID_RECORD') : undefined;
    });
  }

  /** Somebody deletes the topic, and creates it again when all who read it have noticed. */
  async #deleteTopic(): Promise<void> {
    const { clock, database } = this.#stand;
    const { rows } = await database.control.query<{ partition: number; next: number }>(
      'SELECT partition, next_offset::int AS next FROM millrace.inbox_offsets WHERE consumer_group = $1',
      [inboxGroup],
    );
    const read = new Map(rows.map(({ partition, next }) => [partition, next]));
    this.#gone = this.#present.map(({ partition, offset, ...record }) => {
      const isGone = offset >= (read.get(partition) ?? 0);
      return { ...record, isGone };
    });
    this.#kafka.deleteTopic(topic);
    this.#isTopicAway = true;
    this.#scheduler.note(`${topic} is deleted`);
    const createAt = clock.now + this.#random.int(1, 3_000);
    const create = () => {
      if (clock.now < createAt || !this.#kafka.isDeserted(topic)) {
        this.#scheduler.plan(Math.max(createAt, clock.now + lookEveryMs), create);
        return;
      }
      this.#kafka.createTopic(topic, partitions);
      this.#isTopicAway = false;
      this.#scheduler.note(`${topic} is created again`);
    };
    create();
  }

  /** The log of the topic. */
  get #present(): (LoggedRecord & { partition: number; offset: number })[] {
    const ends = new Map<number, number>();
    return this.#kafka.sent
      .filter((one) => one.topic === topic)
      .map(({ partition, message: { key, value, headers } }) => {
        const offset = ends.get(partition) ?? 0;
        ends.set(partition, offset + 1);
        return {
          id: headers['ce_id']!,
          key,
          record: headers[recordHeader]!,
          value: value.toString(),
          partition,
          offset,
        };
      });
  }

  /** Stops an instance as a deployment does, and starts the next one when it has stopped. */
  #replace(role: Role): void {
    const { actor, part } = role;
    if (!actor?.isAlive || !part) return;
    const next = () => {
      if (!actor.isAlive) return;
      actor.isAlive = false;
      this.#stand.database.endSessionsOf(actor, () => 0);
      this.#enter(role);
    };
    void runAs(actor, () => part.stop()).then(() => this.#scheduler.plan(this.#stand.clock.now, next));
  }

  #calm(): void {
    this.#isCalm = true;
    this.#scheduler.rates = { fault: 0, slow: 0 };
    this.#scheduler.outage = undefined;
    this.#scheduler.note('the faults end');
  }

  async #isCaughtUp(): Promise<boolean> {
    const { control } = this.#stand.database;
    const { rows: written } = await control.query<{ id: string }>('SELECT id FROM written');
    const present = this.#present;
    const log = [...this.#gone, ...present];
    const sent = new Set(log.map(({ id }) => id));
    if (!written.every(({ id }) => sent.has(id))) return false;
    const { rows: done } = await control.query<{ record: string }>('SELECT record FROM effects');
    const records = new Set(done.map(({ record }) => record));
    if (!log.every(({ record, isGone }) => isGone || records.has(record))) return false;
    const { rows } = await control.query<{ read: number; left: boolean }>(
      `SELECT (SELECT coalesce(sum(next_offset), 0)::int FROM millrace.inbox_offsets WHERE consumer_group = $1) AS read,
         EXISTS (SELECT FROM stream_windows WHERE due_at IS NOT NULL)
         OR EXISTS (SELECT FROM millrace.dead_letters WHERE replayed_at IS NULL)
         OR EXISTS (SELECT FROM millrace.outbox_parked)
         OR EXISTS (SELECT FROM millrace.outbox o JOIN millrace.outbox_shards s USING (shard)
           WHERE (o.xid, o.id) > (s.xid, s.id)) AS left`,
      [streamGroup],
    );
    const { read, left } = rows[0]!;
    if (left) return false;
    return this.#workers === 0 || (read >= present.length && hasClosed(this.#kafka.sent, this.#stand.clock.now));
  }

  get #catchUpMs(): number {
    return this.#gone.length > 0 ? catchUpOfTopicMs : catchUpMs;
  }

  /** What has not caught up, and whether the parts say so. */
  async #stuck(): Promise<Finding[]> {
    const reports = this.#roles.flatMap(({ name, part }) => (part ? [{ name, report: part.health.report() }] : []));
    const settled = await Promise.all(reports.map(async ({ name, report }) => ({ name, ...(await report) })));
    const red = settled
      .filter(({ status }) => status === 'DOWN')
      .map(({ name, checks }) => `${name}: ${JSON.stringify(checks)}`);
    const what = `not everything has caught up ${this.#catchUpMs / 1_000} s after the last fault`;
    return red.length > 0
      ? [{ kind: 'stuck', what: `${what}: ${red.join('; ')}` }]
      : [{ kind: 'false-green', what: `${what}, and health says that all is well` }];
  }

  async #facts(): Promise<Facts> {
    const { control } = this.#stand.database;
    const { rows: written } = await control.query<Facts['written'][number]>(
      'SELECT id, key, n, is_poison AS "isPoison" FROM written ORDER BY key, n',
    );
    const { rows: effects } = await control.query<Facts['effects'][number]>(
      'SELECT id, record FROM effects ORDER BY position',
    );
    const { rows: letters } = await control.query<Facts['letters'][number]>(
      `SELECT event_id AS id, headers->>$1 AS record, is_waiting AS "isWaiting", reason FROM millrace.dead_letters ORDER BY id`,
      [recordHeader],
    );
    const published = this.#kafka.sent
      .filter((one) => one.topic === deadLetters)
      .map(({ message: { headers, value } }) => ({ record: headers[recordHeader]!, value: value.toString() }));
    return { written, effects, letters, published, log: [...this.#gone, ...this.#present] };
  }
}

/** An outage of a server, for all or for one role; a locked table lets the statements of one role fail alone. */
function outageOf(kind: 'no-database' | 'no-kafka' | 'locked', role: string): Outage['fateOf'] {
  return (call, actor) => {
    if (kind === 'no-kafka') return call.server === 'Kafka' ? { fate: 'lost' } : undefined;
    if (call.server !== 'PostgreSQL') return undefined;
    if (kind === 'no-database') return { fate: 'lost' };
    return call.fail && actor.name.startsWith(role.slice(0, 3)) ? { fate: 'failed', code: '57014' } : undefined;
  };
}
