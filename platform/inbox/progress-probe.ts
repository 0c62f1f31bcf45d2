import { messageOf, PlatformError } from '#platform/errors';
import type { KafkaAdmin, TopicPartition } from '#platform/kafka';
import { pause, Ticker } from '#platform/lifecycle';
import type { Pool } from '#platform/postgres';
import type { Logger } from '#platform/telemetry';
import type { AssignedPartition } from './assignment.ts';
import { metrics } from './metrics.ts';
import { isRecreated, nameOf } from './offsets.ts';

/** how long a partition with something to read may be without progress */
const stuckMs = 15_000;
const roundsToStuck = 3;

export interface ProgressProbeOptions {
  group: string;
  topics: readonly string[];
  pool: Pool;
  admin: Pick<KafkaAdmin, 'watermarks' | 'topicId'>;
  /** the partitions that this member owns now */
  positions: () => readonly AssignedPartition[];
  /** called with the partitions whose topic was deleted and created again */
  onRecreated: (partitions: readonly AssignedPartition[]) => void;
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
  readonly #ends: Question<Map<string, bigint>>;
  readonly #stored: Question<Map<string, bigint>>;
  /** by partition */
  #known = new Map<string, Progress>();
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
  }

  /** @throws while a partition with something to read makes no progress, or this cannot be seen */
  check(): void {
    const now = performance.now();
    const { group } = this.#options;
    const stuck = this.#options.positions().flatMap((position) => {
      const progress = this.#known.get(nameOf(position));
      if (!progress || position.error || progress.end <= progress.next || now - progress.since < this.#stuckMs)
        return [];
      return `${nameOf(position)} at ${progress.next} of ${progress.end} for ${seconds(now - progress.since)}`;
    });
    if (stuck.length > 0) throw new PlatformError('ERR_INBOX_STUCK', `${group} makes no progress: ${stuck.join(', ')}`);
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
    const [ends, stored] = [this.#ends.answer, this.#stored.answer];
    if (!ends || !stored) return;
    const { group, positions } = this.#options;
    const known = new Map<string, Progress>();
    for (const position of positions()) {
      const name = nameOf(position);
      const before = this.#known.get(name);
      const end = ends.get(name);
      const at = stored.get(name);
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
  }

  async #askEnds(): Promise<Map<string, bigint>> {
    const ends = new Map<string, bigint>();
    const { topics, admin, positions, onRecreated } = this.#options;
    for (const topic of topics) {
      const watermarks = await admin.watermarks(topic);
      const id = await admin.topicId(topic);
      const recreated = positions().filter((one) => one.topic === topic && !one.error && isRecreated(one.topicId, id));
      if (recreated.length > 0) onRecreated(recreated);
      for (const [partition, { high }] of watermarks) ends.set(nameOf({ topic, partition }), high);
    }
    return ends;
  }

  async #askStored(): Promise<Map<string, bigint>> {
    const { pool, group } = this.#options;
    const { rows } = await pool.query<TopicPartition & { next_offset: string }>(
      'SELECT topic, partition, next_offset FROM millrace.inbox_offsets WHERE consumer_group = $1',
      [group],
    );
    return new Map(rows.map((row) => [nameOf(row), BigInt(row.next_offset)]));
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
