import { PlatformError } from '#platform/errors';
import { errorCodeOf, nameOf, readTopicLog, refusalOf } from '#platform/kafka';
import type { KafkaAdmin, TopicPartition, Watermarks } from '#platform/kafka';
import type { PoolClient } from '#platform/postgres';

/** The end of a partition's log, as far as the relays know. */
interface End extends TopicPartition {
  /** of Kafka, empty where the brokers have none; undefined until it has been asked for */
  topicId: string | undefined;
  /** all that the outbox has sent is before it */
  next: bigint;
  /** where an append began before `next`: the log is shorter than it was, or the topic another one */
  shorter?: bigint | undefined;
  /** where the log has ended before that, which is not stored yet */
  found?: bigint | undefined;
  /** what is stored of that, until the events are published again */
  lostFrom?: bigint | undefined;
}

interface EndRow extends TopicPartition {
  topic_id: string;
  next_offset: string;
  lost_from: string | null;
}

const store = {
  name: 'outbox-ends-store',
  text: `WITH given AS MATERIALIZED (
      SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::bigint[], $5::bigint[])
        AS g(topic, partition, topic_id, next_offset, lost_from)
    ), free AS MATERIALIZED (
      SELECT e.topic, e.partition FROM millrace.outbox_ends e JOIN given USING (topic, partition) FOR UPDATE OF e SKIP LOCKED
    ), changed AS (
      UPDATE millrace.outbox_ends e SET topic_id = g.topic_id,
        next_offset = CASE WHEN e.topic_id = g.topic_id AND g.lost_from IS NULL
          THEN greatest(e.next_offset, g.next_offset) ELSE g.next_offset END,
        lost_from = CASE WHEN e.topic_id = g.topic_id THEN least(e.lost_from, g.lost_from) END
      FROM given g JOIN free USING (topic, partition) WHERE e.topic = g.topic AND e.partition = g.partition
      RETURNING e.topic, e.partition
    ), added AS (
      INSERT INTO millrace.outbox_ends (topic, partition, topic_id, next_offset, lost_from)
      SELECT * FROM given g
      WHERE NOT EXISTS (SELECT FROM millrace.outbox_ends e WHERE e.topic = g.topic AND e.partition = g.partition)
      ORDER BY topic, partition ON CONFLICT DO NOTHING RETURNING topic, partition
    ) SELECT * FROM changed UNION ALL SELECT * FROM added`,
};

const read = {
  name: 'outbox-ends-read',
  text: 'SELECT topic, partition, topic_id, next_offset::text, lost_from::text FROM millrace.outbox_ends',
};

/**
 * Keeps in the database where the logs end that its outbox is sent to. A log that ends earlier was put back to an earlier time, or cut:
 * acknowledged events are gone, and consumers that have not noticed will skip what takes their offsets.
 */
export class TopicEnds {
  readonly #admin: Pick<KafkaAdmin, 'topicId' | 'knownWatermarks'>;
  readonly #ends = new Map<string, End>();
  /** what is not stored yet */
  readonly #changed = new Set<string>();
  /** the questions for the ids of topics that are under way */
  readonly #asking = new Map<string, Promise<void>>();

  constructor(admin: Pick<KafkaAdmin, 'topicId' | 'knownWatermarks'>) {
    this.#admin = admin;
  }

  /** @throws while events are lost */
  check(): void {
    const lost = [...this.#ends.values()].flatMap(({ found, lostFrom = found, ...at }) =>
      lostFrom === undefined ? [] : [`${nameOf(at)} from offset ${lostFrom}`],
    );
    if (lost.length === 0) return;
    const logs = lost.join(', ');
    throw new PlatformError(
      'ERR_OUTBOX_EVENTS_LOST',
      `Kafka has lost acknowledged events of ${logs}. Publish them again: npm run republish`,
    );
  }

  /** Notes that `count` records from `first` on have been acknowledged. */
  appended(at: TopicPartition, first: bigint, count: number): void {
    const { topic, partition } = at;
    const name = nameOf(at);
    const end = this.#ends.get(name) ?? { topic, partition, topicId: undefined, next: first };
    if (first < end.next) end.shorter = least(end.shorter, first);
    end.next = first + BigInt(count);
    this.#ends.set(name, end);
    this.#changed.add(name);
    if (end.topicId === undefined) this.#settle(topic);
  }

  /** Stores what is new, and learns what the other relays know; it does not wait for Kafka. */
  async follow(session: PoolClient): Promise<void> {
    const due = [...this.#changed].map((name) => this.#ends.get(name)!);
    for (const { topic } of due.filter((end) => !isSettled(end))) this.#settle(topic);
    await this.#store(session, due.filter(isSettled));
    for (const row of await readEnds(session)) {
      const name = nameOf(row);
      const end = this.#ends.get(name);
      if (this.#changed.has(name)) continue;
      const isNewLoss = row.lostFrom !== undefined && row.lostFrom !== end?.lostFrom;
      if (end?.topicId === row.topicId && end.next >= row.next && !isNewLoss) end.lostFrom = row.lostFrom;
      else this.#ends.set(name, row);
    }
  }

  async #store(session: PoolClient, ends: readonly End[]): Promise<void> {
    if (ends.length === 0) return;
    for (const name of await storeEnds(session, ends)) {
      this.#changed.delete(name);
      const end = this.#ends.get(name)!;
      end.lostFrom = end.found ?? end.lostFrom;
      end.found = undefined;
    }
  }

  /** Asks for the id of a topic in the background. */
  #settle(topic: string): void {
    if (this.#asking.has(topic)) return;
    const asking = this.#askId(topic).finally(() => this.#asking.delete(topic));
    this.#asking.set(topic, asking);
  }

  /** Waits for what is asked in the background. */
  async stop(): Promise<void> {
    await Promise.all(this.#asking.values());
  }

  /** Asks for the id of a topic: one that was created again has lost nothing of this one. */
  async #askId(topic: string): Promise<void> {
    try {
      const topicId = (await this.#admin.topicId(topic)) ?? '';
      const ends = [...this.#ends].filter(([, end]) => end.topic === topic);
      // where the id was not known yet, a shorter log tells that the topic may be another one
      const isOther = ends.some(
        ([, end]) => end.topicId !== topicId && (end.topicId !== undefined || end.shorter !== undefined),
      );
      for (const [name, end] of ends) {
        if (end.topicId === topicId) end.found = end.shorter ?? end.found;
        else {
          if (isOther && end.shorter === undefined) end.next = 0n; // of the topic before
          this.#changed.add(name);
        }
        end.topicId = topicId;
        end.shorter = undefined;
      }
    } catch {
      // it is asked for again in the next round
    }
  }

  /**
   * Compares what is stored of a topic with its log. Nothing may be sent meanwhile.
   * @returns where in its partitions begins what may be unknown to the database; those are left out where the log has nothing more
   */
  async compare(session: PoolClient, topic: string): Promise<Map<number, bigint>> {
    const rows = (await readEnds(session)).filter((end) => end.topic === topic);
    const stored = new Map(rows.map((end) => [end.partition, end]));
    // of a database from before the table of ends only what comes from now on can be told
    const isOld = rows.length === 0 && (await isSpread(session, topic));
    const { topicId, watermarks } = await this.#logOf(topic);
    const tails = new Map<number, bigint>();
    for (const [partition, marks] of watermarks) {
      if (!marks) continue;
      const name = nameOf({ topic, partition });
      const [known, own] = [stored.get(partition), this.#ends.get(name)].map((end) =>
        end?.topicId === topicId ? end : undefined,
      );
      const losses = [known, own].map((end) => (end && marks.high < end.next ? marks.high : undefined));
      const found = [own?.found, own?.shorter, ...losses].reduce((a, b) => (b === undefined ? a : least(a, b)));
      this.#ends.set(name, { topic, partition, topicId, next: marks.high, found, lostFrom: known?.lostFrom });
      const first = known?.next ?? marks.low;
      if (first < marks.high && !isOld) tails.set(partition, first > marks.low ? first : marks.low);
    }
    return tails;
  }

  /** Stores that the database has all events of a topic that were there at `compare`. */
  async confirm(session: PoolClient, topic: string): Promise<void> {
    const ends = [...this.#ends.values()].filter((end) => end.topic === topic);
    await this.#store(session, ends.filter(isSettled));
  }

  /** Empty where the topic does not exist or may not be described. */
  async #logOf(topic: string): Promise<{ topicId: string; watermarks: Map<number, Watermarks | undefined> }> {
    try {
      const log = await readTopicLog(this.#admin, topic, (name) => this.#admin.knownWatermarks(name));
      return { ...log, topicId: log.topicId ?? '' };
    } catch (error) {
      if (refusalOf(error) || errorCodeOf(error) === 'UNKNOWN_TOPIC_OR_PARTITION')
        return { topicId: '', watermarks: new Map() };
      throw error;
    }
  }
}

const isSettled = ({ topicId, shorter }: End) => topicId !== undefined && shorter === undefined;

function least(a: bigint | undefined, b: bigint): bigint {
  return a !== undefined && a < b ? a : b;
}

/** Whether a relay has sent events of a topic. */
async function isSpread(session: PoolClient, topic: string): Promise<boolean> {
  const { rowCount } = await session.query('SELECT FROM millrace.outbox_topics WHERE topic = $1', [topic]);
  return rowCount === 1;
}

async function readEnds(session: PoolClient): Promise<(End & { topicId: string })[]> {
  const { rows } = await session.query<EndRow>(read);
  return rows.map(({ topic, partition, topic_id: topicId, next_offset, lost_from }) => ({
    topic,
    partition,
    topicId,
    next: BigInt(next_offset),
    lostFrom: lost_from === null ? undefined : BigInt(lost_from),
  }));
}

/** @returns the names of those that are stored; another session can hold the others */
async function storeEnds(session: PoolClient, ends: readonly End[]): Promise<string[]> {
  const { rows } = await session.query<TopicPartition>({
    ...store,
    values: [
      ends.map(({ topic }) => topic),
      ends.map(({ partition }) => partition),
      ends.map(({ topicId }) => topicId),
      ends.map(({ next }) => String(next)),
      ends.map(({ found }) => (found === undefined ? null : String(found))),
    ],
  });
  return rows.map(nameOf);
}

/**
 * Stores that a database has all events of a topic up to these offsets, whatever it lacks.
 * @param ends by partition
 */
export async function settleEnds(
  session: PoolClient,
  { topic, topicId = '', ends }: { topic: string; topicId: string | undefined; ends: ReadonlyMap<number, bigint> },
): Promise<void> {
  await session.query(
    `INSERT INTO millrace.outbox_ends AS e (topic, partition, topic_id, next_offset)
     SELECT $1, partition, $2, next_offset FROM unnest($3::int[], $4::bigint[]) AS given(partition, next_offset) ORDER BY partition
     ON CONFLICT (topic, partition) DO UPDATE SET topic_id = excluded.topic_id, next_offset = excluded.next_offset`,
    [topic, topicId, [...ends.keys()], [...ends.values()].map(String)],
  );
}
