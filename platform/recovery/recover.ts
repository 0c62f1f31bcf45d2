import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DecodeEvent, ReceivedEvent } from '#platform/contract';
import { messageOf } from '#platform/errors';
import { readTopic } from '#platform/kafka';
import type { IncomingMessage, Kafka } from '#platform/kafka';
import { isUnavailable } from '#platform/postgres';
import type { Pool, PoolClient } from '#platform/postgres';
import { leaseMs, settleEnds, untilRelaysFollow } from '#platform/outbox';

/** An event as it is in its topic. */
export interface TopicEvent extends ReceivedEvent {
  /** the bytes of its data */
  value: Buffer;
}

/** What the topic has and a restored database has not. */
export interface Taken {
  /** the ids of the events */
  events: string[];
  /** the ids of the events that the database has otherwise */
  conflicts: string[];
}

/** An event that the database refuses. */
export interface Refused {
  id: string;
  reason: string;
}

/** Writes the state to which events lead, where the database does not have it. */
export interface StateWriter {
  /** @param events of the service itself, those of a key in their order */
  take(events: readonly TopicEvent[]): Promise<Taken>;
  /** Called once, after all of them. Only one that has events left to write needs it. */
  finish?(): Promise<Taken & { refused: Refused[] }>;
}

/** How a service takes back what its database has lost. */
export interface Recovery {
  /** the topic of its events */
  topic: string;
  /** the sequence that the keys are drawn from */
  sequence: string;
  /**
   * The key of an event's aggregate. It is that of the data, which the contract checks: the key of the record can be anything that
   * somebody else has written.
   */
  keyOf(event: TopicEvent): number;
  /** the view over the event store that its relay publishes, if `begin` writes to one */
  eventStore?: string;
  decode: DecodeEvent;
  /** @param tx the transaction of all writes */
  begin(tx: PoolClient): StateWriter;
}

/**
 * How many keys are left out after the highest one that is known: some were drawn whose events have not come to the topic, or were
 * lost with it, and somebody may know one of them.
 */
const unseenKeys = 1_000_000;
/** Keys after a higher one would soon be no exact numbers any more. */
const lastKey = Number.MAX_SAFE_INTEGER - 2 * unseenKeys;
const leaseHours = 1;
const pollMs = 250;

/**
 * Takes the events that a topic has and a restored database has not back into the database, in one transaction, and draws no key
 * again that the topic knows, but for those after `lastKey`. Otherwise a new aggregate or version would get the ids of another one,
 * and its consumers would drop its events as repeated. Nobody may write commands from the restore until this has ended.
 * @param run.isTrial changes nothing
 * @returns also whether the relays publish the events again, `tooHigh`: the ids of events whose keys are after `lastKey`, and
 *   `refused`: events that the database cannot store, such as those that somebody else has written. They hold up no other
 */
export async function recover(
  recovery: Recovery,
  run: { pool: Pool; kafka: Kafka; isTrial: boolean },
): Promise<Taken & { isPublishedAgain: boolean; tooHigh: string[]; refused: Refused[] }> {
  const { topic, sequence, eventStore } = recovery;
  const { pool, kafka, isTrial } = run;
  const session = await pool.connect();
  const owner = `recovery-${randomUUID()}`;
  const leases = eventStore !== undefined && !isTrial ? new Leases(session, owner, eventStore) : undefined;
  const known: Known = { highestKey: 0, tooHigh: [], ids: await leases?.begin() };
  try {
    await session.query('BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0');
    const { ends, ...taken } = await takeAll(session, recovery.begin(session), known, { ...recovery, kafka, owner });
    if (!isTrial) await settleEnds(session, { topic, topicId: await kafka.admin.topicId(topic), ends });
    const xid = await xidOf(session);
    await session.query(isTrial ? 'ROLLBACK' : 'COMMIT');
    if (!isTrial) await skipKeys(session, sequence, known.highestKey);
    const isPublishedAgain = (await leases?.pass(xid, known.ids!)) === false;
    return { ...taken, isPublishedAgain: isPublishedAgain && taken.events.length > 0, tooHigh: known.tooHigh };
  } finally {
    await leases?.end().catch(() => undefined); // they end by themselves, too
    session.release(true); // rolls back what is open
  }
}

/** What a run knows of the topic. */
interface Known {
  /** but for those after `lastKey` */
  highestKey: number;
  tooHigh: string[];
  /** the ids of the events that may be unpublished; those that the topic has leave */
  ids: Set<string> | undefined;
}

async function takeAll(
  tx: PoolClient,
  writer: StateWriter,
  known: Known,
  {
    topic,
    decode,
    keyOf,
    kafka,
    owner,
  }: Pick<Recovery, 'topic' | 'decode' | 'keyOf'> & { kafka: Kafka; owner: string },
): Promise<Taken & { refused: Refused[]; ends: Map<number, bigint> }> {
  const events: string[] = [];
  const conflicts: string[] = [];
  const refused: Refused[] = [];
  const note = (taken: Taken): void => {
    events.push(...taken.events);
    conflicts.push(...taken.conflicts);
  };
  const ends = await readTopic(kafka, {
    topic,
    group: owner,
    onMessages: async (messages) => {
      const own = messages.flatMap((message) => ownEvent(message, decode));
      for (const event of own) {
        const key = keyOf(event);
        if (key > lastKey) known.tooHigh.push(event.id);
        else known.highestKey = Math.max(known.highestKey, key);
        known.ids?.delete(event.id);
      }
      if (own.length === 0) return;
      refused.push(...(await writeAccepted(tx, own, async (some) => note(await writer.take(some)))));
    },
  });
  const finished = await writer.finish?.();
  if (finished) {
    note(finished);
    refused.push(...finished.refused);
  }
  return { events, conflicts, refused, ends };
}

/**
 * Writes events in the fewest statements, and finds those that the database refuses by bisection.
 * @param write is called with the events in their order; what it writes is rolled back if it fails
 * @throws if the database cannot be used
 */
export async function writeAccepted<T extends { id: string }>(
  tx: PoolClient,
  events: readonly T[],
  write: (events: readonly T[]) => Promise<void>,
): Promise<Refused[]> {
  await tx.query('SAVEPOINT accepted');
  try {
    await write(events);
    await tx.query('RELEASE SAVEPOINT accepted');
    return [];
  } catch (error) {
    if (isUnavailable(error)) throw error;
    await tx.query('ROLLBACK TO SAVEPOINT accepted; RELEASE SAVEPOINT accepted');
    if (events.length === 1) return [{ id: events[0]!.id, reason: messageOf(error) }];
  }
  const middle = Math.floor(events.length / 2);
  return [
    ...(await writeAccepted(tx, events.slice(0, middle), write)),
    ...(await writeAccepted(tx, events.slice(middle), write)),
  ];
}

/** The event of a message, if the service that declares its type has published it. */
function ownEvent(message: IncomingMessage, decode: DecodeEvent): TopicEvent[] {
  if (message.value === null) return [];
  try {
    const event = decode(message);
    return event.isForeign ? [] : [{ ...event, value: message.value }];
  } catch {
    return []; // each group has it as a dead letter
  }
}

async function xidOf(session: PoolClient): Promise<string> {
  const { rows } = await session.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid');
  return rows[0]!.xid;
}

async function skipKeys(session: PoolClient, sequence: string, highest: number): Promise<void> {
  await session.query(
    `SELECT setval($1::regclass, greatest($2::bigint, (SELECT coalesce(last_value, 0) FROM pg_sequences
       WHERE format('%I.%I', schemaname, sequencename)::regclass = $1::regclass)) + ${unseenKeys})`,
    [sequence, highest],
  );
}

/** Keeps the relays from an event store while rows come into it that they must not publish again. */
class Leases {
  readonly #session: PoolClient;
  readonly #owner: string;
  readonly #source: string;
  #before: ReadonlySet<string> = new Set();

  constructor(session: PoolClient, owner: string, source: string) {
    this.#session = session;
    this.#owner = owner;
    this.#source = source;
  }

  /** Takes all shards, and waits until no relay sends by one of before. @returns the ids of the rows after the cursors */
  async begin(): Promise<Set<string>> {
    await this.#session.query(
      `UPDATE millrace.outbox_shards SET owner = $1, lease_until = clock_timestamp() + interval '${leaseHours} hour'`,
      [this.#owner],
    );
    await untilRelaysFollow(this.#session, performance.now() + leaseMs);
    this.#before = new Set(await this.#unpublished());
    return new Set(this.#before);
  }

  /**
   * Moves the cursors past the rows of a transaction, if the topic has all rows before it.
   * @param ids of the events that may be unpublished
   * @returns false if the relays publish the rows again, to publish what the topic does not have
   */
  async pass(xid: string, ids: ReadonlySet<string>): Promise<boolean> {
    if (ids.size > 0) return false;
    for (;;) {
      const { rows } = await this.#session.query<{ ended: boolean }>(
        'SELECT pg_snapshot_xmin(pg_current_snapshot()) > $1::xid8 AS ended',
        [xid],
      );
      if (rows[0]!.ended) break; // a cursor is never ahead of the oldest open transaction
      await sleep(pollMs);
    }
    const late = await this.#unpublished(xid);
    if (late.some((id) => !this.#before.has(id))) return false; // a command was in flight when the door was closed
    const { rowCount } = await this.#session.query(
      `UPDATE millrace.outbox_shards s SET xid = $2::xid8, id = coalesce((SELECT max(o.id) FROM ${this.#source} o), 0)
       WHERE s.owner = $1 AND s.xid <= $2::xid8`,
      [this.#owner, xid],
    );
    return rowCount !== 0;
  }

  async end(): Promise<void> {
    await this.#session.query('UPDATE millrace.outbox_shards SET owner = NULL, lease_until = NULL WHERE owner = $1', [
      this.#owner,
    ]);
  }

  /** The ids of the rows after the cursors; with `below`, of the transactions below that one. */
  async #unpublished(below?: string): Promise<string[]> {
    const { rows } = await this.#session.query<{ id: string }>(
      `SELECT o.event_id AS id FROM millrace.outbox_shards s JOIN ${this.#source} o ON o.shard = s.shard
       WHERE (o.xid, o.id) > (s.xid, s.id) AND ($1::xid8 IS NULL OR o.xid < $1::xid8)`,
      [below ?? null],
    );
    return rows.map(({ id }) => id);
  }
}
