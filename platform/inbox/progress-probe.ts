import { messageOf, PlatformError } from '#platform/errors';
import { nameOf } from '#platform/kafka';
import type { KafkaAdmin, TopicPartition } from '#platform/kafka';
import { pause, Ticker } from '#platform/lifecycle';
import type { Pool } from '#platform/postgres';
import type { Logger } from '#platform/telemetry';
import type { AssignedPartition } from './assignment.ts';
import { Elsewhere, readStored, unreadOf } from './elsewhere.ts';
import type { LogEnd, Stored, Unread } from './elsewhere.ts';
import { metrics } from './metrics.ts';
import { isRecreated, lockedOffsets } from './offsets.ts';

/** how long a partition with something to read may be without progress */
const stuckMs = 15_000;
const roundsToStuck = 3;
/** how much longer a partition of another member may be: this one has to be in the group before it marks what it reads */
const timesLonger = 2;

export interface ProgressProbeOptions {
  group: string;
  /** the topics that can be read now */
  topics: () => readonly string[];
  pool: Pool;
  admin: Pick<KafkaAdmin, 'knownWatermarks' | 'topicId'>;
  /** the partitions that this member owns now */
  positions: () => readonly AssignedPartition[];
  /** why a partition brings nothing, where the consumer knows */
  waitsFor: (partition: TopicPartition) => string | undefined;
  /** called with the partitions whose topic was deleted and created again, or whose offset is stored no more as this member stored it */
  onDisplaced: (partitions: readonly AssignedPartition[]) => void;
  log: Logger;
  /** default 15,000 */
  stuckMs?: number | undefined;
}

/** What is known of a partition. */
interface Progress {
  /** how far the group has read, and the end of the log */
  next: bigint;
  end: bigint;
  /** when it last moved or had nothing to read, as far as the rounds show: it may have been a round later */
  since: number;
}

/**
 * Asks Kafka for the ends of the partitions of this member, and the database for the stored offsets, beside the path of the
 * messages: the lag grows and health says so while that path is stuck. It asks each for one thing at a time; while an answer
 * is missing, the last one counts.
 */
export class ProgressProbe {
  readonly #options: ProgressProbeOptions;
  readonly #stuckMs: number;
  readonly #ticker: Ticker;
  readonly #ends: Question<Map<string, LogEnd>>;
  readonly #stored: Question<Map<string, Stored>>;
  /** by partition */
  #known = new Map<string, Progress>();
  /** the partitions without a leader, by name: since when */
  #leaderless: ReadonlyMap<string, number> = new Map();
  readonly #elsewhere = new Elsewhere();
  /** the partitions of other members whose lag this one has reported */
  #reported: readonly TopicPartition[] = [];
  #lastRound = performance.now();
  /** when both were last answered */
  #measured = performance.now();

  constructor(options: ProgressProbeOptions) {
    this.#options = options;
    this.#stuckMs = options.stuckMs ?? stuckMs;
    const everyMs = this.#stuckMs / roundsToStuck;
    this.#ends = new Question(() => this.#askEnds(), everyMs);
    this.#stored = new Question(() => this.#askStored(), everyMs);
    this.#ticker = new Ticker({
      name: `progress of ${options.group}`,
      everyMs,
      log: options.log,
      run: () => this.#measure(),
    });
  }

  start(): void {
    this.#measured = performance.now();
    this.#ticker.start();
  }

  /** No request is left. */
  async stop(): Promise<void> {
    this.#ends.end();
    this.#stored.end();
    await this.#ticker.stop();
    await Promise.all([this.#ends.settled, this.#stored.settled]);
    this.#reportElsewhere([]);
  }

  /** @throws while a partition with something to read makes no progress, no member here reads it, or this cannot be seen */
  check(): void {
    const now = performance.now();
    const { group } = this.#options;
    const stuck = this.#options.positions().flatMap((position) => {
      const progress = this.#known.get(nameOf(position));
      if (!progress || position.error || progress.end <= progress.next || now - progress.since < this.#stuckMs)
        return [];
      const cause = this.#options.waitsFor(position);
      const place = `${nameOf(position)} at ${progress.next} of ${progress.end} for ${seconds(now - progress.since)}`;
      return cause === undefined ? place : `${place} (${cause})`;
    });
    if (stuck.length > 0) throw new PlatformError('ERR_INBOX_STUCK', `${group} makes no progress: ${stuck.join(', ')}`);
    const leaderless = this.#options.positions().flatMap((position) => {
      const since = this.#leaderless.get(nameOf(position)) ?? now;
      return now - since < this.#stuckMs ? [] : `${nameOf(position)} for ${seconds(now - since)}`;
    });
    if (leaderless.length > 0)
      throw new PlatformError('ERR_KAFKA_NO_LEADER', `partitions have no leader: ${leaderless.join(', ')}`);
    const elsewhere = this.#readElsewhere();
    if (elsewhere.length > 0) {
      const places = elsewhere.map(
        (one) => `${nameOf(one)} at ${one.stored?.next ?? 'its start'} of ${one.end} for ${seconds(now - one.since)}`,
      );
      throw new PlatformError(
        'ERR_INBOX_READ_ELSEWHERE',
        `another member of the group ${group} reads ${places.join(', ')}, and does not write to this database: stop it, or ` +
          'give it a Kafka of its own',
      );
    }
    if (now - this.#measured < this.#stuckMs) return;
    const reason = this.#ends.failure ?? this.#stored.failure ?? 'no answer';
    throw new PlatformError(
      'ERR_INBOX_UNMEASURED',
      `the progress of ${group} has been unknown for ${seconds(now - this.#measured)}: ${reason}`,
    );
  }

  async #measure(): Promise<void> {
    const began = performance.now();
    const answered = await Promise.all([this.#ends.ask(), this.#stored.ask()]);
    if (answered.every(Boolean)) this.#measured = began;
    else this.#elsewhere.forget();
    const [ends, stored] = [this.#ends.answer, this.#stored.answer];
    if (!ends || !stored) return;
    const { group, positions } = this.#options;
    const known = new Map<string, Progress>();
    for (const position of positions()) {
      const name = nameOf(position);
      const before = this.#known.get(name);
      const end = ends.get(name)?.high;
      const at = stored.get(name)?.next;
      if (this.#leaderless.has(name))
        metrics.lag.remove({ group, topic: position.topic, partition: position.partition });
      if (end === undefined || at === undefined) continue;
      const { passed } = position;
      const next = passed && at >= passed.from && passed.to > at ? passed.to : at;
      let since = before?.since ?? began;
      if (end <= next) since = began;
      else if (before && next !== before.next) since = this.#lastRound;
      known.set(name, { next, end, since });
      const { topic, partition } = position;
      metrics.lag.set({ group, topic, partition }, Math.max(0, Number(end - next)));
    }
    this.#known = known;
    this.#lastRound = began;
    if (this.#measured === began) this.#elsewhere.note(unreadOf(ends, stored, positions()), began);
    this.#reportElsewhere(this.#readElsewhere());
  }

  #readElsewhere() {
    return this.#elsewhere.unreadSince(this.#measured - timesLonger * this.#stuckMs);
  }

  /** The owner of a partition reports its lag; where that is nobody here, every member does. */
  #reportElsewhere(partitions: readonly Unread[]): void {
    const { group, positions } = this.#options;
    const kept = new Set([...partitions, ...positions()].map(nameOf));
    for (const { topic, partition } of this.#reported)
      if (!kept.has(nameOf({ topic, partition }))) metrics.lag.remove({ group, topic, partition });
    for (const { topic, partition, stored, end } of partitions)
      metrics.lag.set({ group, topic, partition }, Number(end - (stored?.next ?? 0n)));
    this.#reported = partitions;
  }

  async #askEnds(): Promise<Map<string, LogEnd>> {
    const ends = new Map<string, LogEnd>();
    const leaderless = new Map<string, number>();
    const { topics, admin, positions, onDisplaced } = this.#options;
    for (const topic of topics()) {
      const watermarks = await admin.knownWatermarks(topic);
      const id = await admin.topicId(topic);
      const recreated = positions().filter((one) => one.topic === topic && !one.error && isRecreated(one.topicId, id));
      if (recreated.length > 0) onDisplaced(recreated);
      for (const [partition, marks] of watermarks) {
        const name = nameOf({ topic, partition });
        if (marks) ends.set(name, { topic, partition, ...marks });
        else leaderless.set(name, this.#leaderless.get(name) ?? performance.now());
      }
    }
    this.#leaderless = leaderless;
    return ends;
  }

  async #askStored(): Promise<Map<string, Stored>> {
    const { pool, group, positions, onDisplaced } = this.#options;
    const before = positions()
      .filter(({ error }) => error === undefined)
      .map((position) => ({ position, committed: position.committed }));
    const behind = positions().filter((position) => {
      const name = nameOf(position);
      return (this.#ends.answer?.get(name)?.high ?? 0n) > (this.#stored.answer?.get(name)?.next ?? 0n);
    });
    const stored = await readStored(pool, group, behind);
    // somebody has moved it back: no message may come that would tell
    const own = new Set(positions());
    const displaced = before
      .filter(({ position, committed }) => own.has(position) && (stored.get(nameOf(position))?.next ?? -1n) < committed)
      .map(({ position }) => position);
    for (const position of displaced) position.committed = -1n; // said once: finding its place may take long
    if (displaced.length > 0) onDisplaced(displaced);
    // a transaction of the owner that does not end keeps it from marking its partitions, and has locked them
    const suspect = this.#elsewhere.unreadSince(this.#measured - this.#stuckMs).filter((one) => one.stored);
    if (suspect.length > 0)
      for (const one of await lockedOffsets(pool, group, suspect))
        stored.get(nameOf(one))!.mark = `locked at ${performance.now()}`;
    return stored;
  }
}

const seconds = (ms: number) => `${Math.round(ms / 1_000)} s`;

/** A question that is asked again and again, and never while its last answer is missing. */
class Question<T> {
  /** the last one */
  answer: T | undefined;
  /** why there was none the last time */
  failure: string | undefined;
  readonly #ask: () => Promise<T>;
  readonly #withinMs: number;
  readonly #end = new AbortController();
  #asking: Promise<boolean> | undefined;

  constructor(ask: () => Promise<T>, withinMs: number) {
    this.#ask = ask;
    this.#withinMs = withinMs;
  }

  /** @returns whether it is answered in time */
  async ask(): Promise<boolean> {
    if (this.#end.signal.aborted) return false;
    this.#asking ??= this.#answered();
    const inTime = new AbortController();
    const late = pause(this.#withinMs, AbortSignal.any([inTime.signal, this.#end.signal])).then(() => false);
    const isAnswered = await Promise.race([this.#asking, late]);
    inTime.abort();
    return isAnswered;
  }

  async #answered(): Promise<boolean> {
    try {
      this.answer = await this.#ask();
      this.failure = undefined;
      return true;
    } catch (error) {
      this.failure = messageOf(error);
      return false;
    } finally {
      this.#asking = undefined;
    }
  }

  /** Waits no longer for an answer. */
  end(): void {
    this.#end.abort();
  }

  /** Resolves when nothing is asked. */
  get settled(): Promise<unknown> {
    return Promise.resolve(this.#asking);
  }
}
