import { toError } from '#platform/errors';
import { backoffMs } from '#platform/lifecycle';
import { isUnavailable } from '#platform/postgres';
import type { PoolClient } from '#platform/postgres';
import type { Logger } from '#platform/telemetry';
import type { Outcome } from './publish.ts';
import { behind } from './refused.ts';
import type { Refused } from './refused.ts';
import { isTime, messagesOf, nameOfKey } from './rows.ts';
import type { OutboxRow } from './rows.ts';
import type { Tally } from './tally.ts';

const pageRows = 500;
const pageBytes = 4 * 1024 * 1024;
/** the pauses between two passes over the parked messages of a topic */
const retry = { firstMs: 1_000, maxMs: 30_000 };

/** A position in the order in which parked messages are tried: key after key, in 64-bit numbers as text. */
interface Position {
  lane: string;
  id: string;
  part: number;
}

const start: Position = { lane: '-9223372036854775808', id: '0', part: 0 };

/** A topic of which messages are parked. */
interface ParkedTopic {
  /** whether its last send was refused for the topic, not for the message */
  refused: boolean;
  reason: string;
  /** by the clock of `performance.now()` */
  retryAt: number;
  /** passes in a row in which a message was refused */
  failures: number;
  /** how far the present pass is */
  position: Position;
  /** whether the present pass has met a message that is refused */
  isRefusing: boolean;
}

type ParkedRow = OutboxRow & { lane: string; part: number };

/**
 * The messages of a relay's shards that Kafka refuses, or whose topic is held, in millrace.outbox_parked. They hold up only the
 * later messages of their keys, which are parked behind them. The relay tries them again, in pages and key after key, each key in
 * its order.
 */
export class Parked {
  readonly #source: string;
  readonly #log: Logger;
  readonly #topics = new Map<string, ParkedTopic>();
  #shards: readonly number[] = [];

  constructor({ source, log }: { source: string; log: Logger }) {
    this.#source = source;
    this.#log = log;
  }

  /** Finds the topics with parked messages in these shards, which the relay owns. */
  async own(session: PoolClient, shards: readonly number[]): Promise<void> {
    this.#shards = shards;
    const { rows } = await session.query<{ topic: string; reason: string }>(
      `SELECT topic, min(reason) AS reason FROM millrace.outbox_parked
       WHERE outbox = $1 AND shard = ANY($2::smallint[]) GROUP BY topic`,
      [this.#source, shards],
    );
    const found = new Map(rows.map(({ topic, reason }) => [topic, reason]));
    for (const topic of this.#topics.keys()) if (!found.has(topic)) this.#topics.delete(topic);
    for (const [topic, reason] of found)
      if (!this.#topics.has(topic))
        this.#topics.set(topic, {
          refused: false,
          reason,
          retryAt: 0,
          failures: 0,
          position: start,
          isRefusing: false,
        });
  }

  /** When the next messages are due, by the clock of `performance.now()`. */
  get due(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.#topics.values().map(({ retryAt }) => retryAt));
  }

  /**
   * Separates the messages that have to wait behind parked ones of their keys. While a topic is refused, all of its messages
   * wait for the next attempt with a parked one.
   * @returns the rows, or their messages, that may be sent, and those that have to be parked
   */
  async split(session: PoolClient, rows: readonly OutboxRow[], tally: Tally) {
    const waiting: Refused[] = [];
    if (this.#topics.size === 0 || !rows.some((row) => this.#topics.has(row.topic))) return { free: rows, waiting };
    const free: OutboxRow[] = [];
    const toCheck: OutboxRow[] = [];
    for (const row of rows) {
      const topic = this.#topics.get(row.topic);
      if (!topic) free.push(row);
      else if (topic.refused) waiting.push({ row, tried: false, of: 'topic', reason: topic.reason });
      else {
        const messages = messagesOf(row);
        if (messages[0] !== row) tally.expect(row, messages.length);
        toCheck.push(...messages);
      }
    }
    const held = await this.#heldKeys(session, toCheck);
    for (const row of toCheck) {
      if (held.has(nameOfKey(row))) waiting.push(behind(row));
      else free.push(row);
    }
    return { free, waiting };
  }

  async #heldKeys(session: PoolClient, rows: readonly OutboxRow[]): Promise<Set<string>> {
    const keys = [...new Map(rows.map((row) => [nameOfKey(row), row])).values()];
    if (keys.length === 0) return new Set();
    const { rows: held } = await session.query<{ topic: string; key: string }>(
      `SELECT k.topic, k.key FROM unnest($2::text[], $3::text[]) AS k(topic, key) WHERE EXISTS (
         SELECT FROM millrace.outbox_parked p
         WHERE p.outbox = $1 AND p.topic = k.topic AND p.lane = hashtextextended(k.key, 0))`,
      [this.#source, keys.map(({ topic }) => topic), keys.map(({ key }) => key)],
    );
    return new Set(held.map(nameOfKey));
  }

  /**
   * Parks messages. What is parked already stays as it is. One that PostgreSQL refuses, too, stays in the outbox, and with it the later
   * ones of its key.
   * @param owner of the shards
   * @returns those that are parked now, not those of shards that another relay owns; why PostgreSQL refuses one; and the names of the
   *   keys that are left
   */
  async add(
    session: PoolClient,
    owner: string,
    refused: readonly Refused[],
  ): Promise<{ parked: Refused[]; failure: Error | undefined; left: ReadonlySet<string> }> {
    const left = new Set<string>();
    if (refused.length === 0) return { parked: [], failure: undefined, left };
    try {
      return { parked: await this.#add(session, owner, refused), failure: undefined, left };
    } catch (error) {
      if (isUnavailable(error)) throw error;
    }
    const parked: Refused[] = [];
    let failure: Error | undefined;
    for (const one of refused) {
      const names = messagesOf(one.row).map(nameOfKey);
      if (names.some((name) => left.has(name))) {
        for (const name of names) left.add(name);
        continue;
      }
      try {
        parked.push(...(await this.#add(session, owner, [one])));
      } catch (error) {
        if (isUnavailable(error)) throw error;
        for (const name of names) left.add(name);
        failure ??= toError(error);
      }
    }
    return { parked, failure, left };
  }

  async #add(session: PoolClient, owner: string, refused: readonly Refused[]): Promise<Refused[]> {
    const messages = refused.flatMap(({ row, ...refusal }) => messagesOf(row).map((one) => ({ row: one, ...refusal })));
    const rows = messages.map(({ row }) => row);
    const { rows: owned } = await session.query<{ shard: number }>(
      `WITH own AS MATERIALIZED (SELECT shard FROM millrace.outbox_shards
         WHERE owner = $2 AND shard = ANY($3::smallint[]) FOR SHARE),
       parked AS (
         INSERT INTO millrace.outbox_parked (outbox, shard, id, part, topic, key, event_id, type, source, data, headers,
           traceparent, created_at, reason, attempts)
         SELECT $1, m.* FROM unnest($3::smallint[], $4::bigint[], $5::int[], $6::text[], $7::text[], $8::text[], $9::text[],
           $10::text[], $11::bytea[], $12::jsonb[], $13::text[], $14::timestamptz[], $15::text[], $16::int[])
           AS m(shard, id, part, topic, key, event_id, type, source, data, headers, traceparent, created_at, reason, attempts)
         JOIN own USING (shard)
         ON CONFLICT DO NOTHING)
       SELECT shard FROM own`,
      [
        this.#source,
        owner,
        rows.map(({ shard }) => shard),
        rows.map(({ id }) => id),
        rows.map(({ part }) => part ?? 0),
        rows.map(({ topic }) => topic),
        rows.map(({ key }) => key),
        rows.map(({ event_id: eventId }) => eventId),
        rows.map(({ type }) => type),
        rows.map(({ source }) => source),
        rows.map(({ data }) => data),
        rows.map(({ headers }) => (headers ? JSON.stringify(headers) : null)),
        rows.map(({ traceparent }) => traceparent),
        rows.map(({ created_at: createdAt }) => (isTime(createdAt) ? createdAt : 'infinity')),
        messages.map(({ reason }) => reason),
        messages.map(({ tried }) => Number(tried)),
      ],
    );
    const shards = new Set(owned.map(({ shard }) => shard));
    const parked = refused.filter(({ row }) => shards.has(row.shard));
    for (const one of parked) this.#note(one);
    return parked;
  }

  #note({ row, of, reason }: Refused): void {
    const topic = this.#topics.get(row.topic);
    if (topic) {
      if (of === 'topic') Object.assign(topic, { refused: true, reason });
      return;
    }
    this.#log.warn({ topic: row.topic, reason }, 'events cannot be sent and are parked: the others are published');
    const retryAt = performance.now() + backoffMs(1, retry);
    const refused = of === 'topic';
    this.#topics.set(row.topic, { refused, reason, retryAt, failures: 1, position: start, isRefusing: false });
  }

  /**
   * Tries the next page of a topic that is due.
   * @param publish publishes rows, each of which is one message
   * @returns whether more can be tried at once
   */
  async retry(
    session: PoolClient,
    publish: (rows: readonly OutboxRow[]) => Promise<Outcome & { published: readonly OutboxRow[] }>,
  ): Promise<boolean> {
    const now = performance.now();
    const [name, topic] = [...this.#topics].find(([, { retryAt }]) => retryAt <= now) ?? [];
    if (name === undefined || !topic) return false;
    const page = await this.#read(session, name, topic.position);
    const last = page.at(-1);
    if (!last) return this.#endPass(session, name, topic);
    const { failure, refused, published } = await publish(page);
    await this.#settle(session, published as ParkedRow[], refused);
    topic.refused = refused.some(({ of }) => of === 'topic');
    topic.isRefusing ||= refused.length > 0;
    if (failure || topic.refused)
      return this.#pause(topic, failure !== undefined || refused.some(({ tried }) => tried));
    const isBehind = refused.some(({ row }) => row.key === last.key);
    // the rest of a key that is held back need not be read
    topic.position = isBehind ? { lane: last.lane, id: '9223372036854775807', part: 0 } : positionOf(last);
    return true;
  }

  /** @param isCostly whether Kafka was asked: the pauses grow */
  #pause(topic: ParkedTopic, isCostly: boolean): false {
    if (isCostly) topic.failures += 1;
    topic.retryAt = performance.now() + backoffMs(topic.failures, retry);
    topic.position = start;
    topic.isRefusing = false;
    return false;
  }

  async #endPass(session: PoolClient, name: string, topic: ParkedTopic): Promise<boolean> {
    if (topic.isRefusing) return this.#pause(topic, true);
    topic.position = start;
    if ((await this.#read(session, name, start)).length > 0) return true; // parked behind others during the pass
    this.#topics.delete(name);
    this.#log.info({ topic: name }, 'no event of this topic is parked any more');
    return false;
  }

  async #read(session: PoolClient, topic: string, { lane, id, part }: Position): Promise<ParkedRow[]> {
    const { rows } = await session.query<Omit<ParkedRow, 'id'> & { id: string }>(
      `SELECT lane::text, id::text, part, shard, topic, key, event_id, type, source, data, headers, traceparent, created_at
       FROM (
         SELECT p.*, sum(octet_length(data)) OVER (ORDER BY lane, id, part) - octet_length(data) AS bytes_before
         FROM (
           SELECT * FROM millrace.outbox_parked
           WHERE outbox = $1 AND topic = $2 AND shard = ANY($3::smallint[])
             AND (lane, id, part) > ($4::bigint, $5::bigint, $6::int)
           ORDER BY lane, id, part LIMIT ${pageRows}
         ) p
       ) q WHERE bytes_before < ${pageBytes} ORDER BY q.lane, q.id, q.part`,
      [this.#source, topic, this.#shards, lane, id, part],
    );
    return rows.map((row) => ({ ...row, id: Number(row.id) }));
  }

  /** Deletes what is sent, and counts the attempts of what is not. */
  async #settle(session: PoolClient, sent: readonly ParkedRow[], refused: readonly Refused[]): Promise<void> {
    const tried = refused.filter((one) => one.tried);
    const all = [...sent, ...tried.map(({ row }) => row as ParkedRow)];
    const reasons = [...sent.map(() => null), ...tried.map(({ reason }) => reason)];
    if (all.length === 0) return;
    await session.query(
      `WITH tried AS (
         SELECT * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::int[], $6::text[]) AS t(topic, lane, id, part, reason)
       ), sent AS (
         DELETE FROM millrace.outbox_parked p USING tried t
         WHERE p.outbox = $1 AND (p.topic, p.lane, p.id, p.part) = (t.topic, t.lane, t.id, t.part) AND t.reason IS NULL)
       UPDATE millrace.outbox_parked p SET attempts = p.attempts + 1, reason = t.reason FROM tried t
       WHERE p.outbox = $1 AND (p.topic, p.lane, p.id, p.part) = (t.topic, t.lane, t.id, t.part) AND t.reason IS NOT NULL`,
      [
        this.#source,
        all.map(({ topic }) => topic),
        all.map(({ lane }) => lane),
        all.map(({ id }) => id),
        all.map(({ part }) => part),
        reasons,
      ],
    );
  }
}

function positionOf({ lane, id, part }: ParkedRow): Position {
  return { lane, id: String(id), part };
}
