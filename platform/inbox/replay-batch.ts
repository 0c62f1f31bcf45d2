import { InvalidEvent } from '#platform/contract';
import type { DecodeEvent } from '#platform/contract';
import { toError } from '#platform/errors';
import type { IncomingMessage } from '#platform/kafka';
import type { Pool, PoolClient } from '#platform/postgres';
import { isUnavailable } from '#platform/postgres';
import { deadLetterColumns, isPending, isRequested, messageOf } from './dead-letter-row.ts';
import type { DeadLetterRow } from './dead-letter-row.ts';
import { publishDeadLetters } from './dead-letters.ts';
import { failureOf, maxReason, reasonOf, toItem } from './item.ts';
import type { Item } from './item.ts';
import { keyName } from './key-order.ts';
import { storable } from './storable.ts';
import type { Handle } from './writer.ts';

/** The most dead letters of a transaction, and about the most bytes of their values. */
export const maxLetters = 500;
const maxBytes = 16 * 1024 * 1024;

/** how long a replay that has nothing else to do waits for a key that another session holds, in milliseconds */
const keyMs = 1_000;

const notKept = 'the dead letter is a reference: read the message at its offset, and send it again';

export interface ReplayBatchOptions {
  group: string;
  handle: Handle;
  decode: DecodeEvent<IncomingMessage>;
}

export interface ReplayAttempt {
  /** the most dead letters, and the most that wait behind them */
  limit: number;
  /** whether an error of the database counts as the dead letter's, where its transaction can go on */
  isLast: boolean;
}

/** A dead letter of a batch, and what became of it; with neither, one before it has failed. */
export interface Replayed {
  row: DeadLetterRow & { key_hash: Buffer | null; is_waiting: boolean };
  item: Item;
  /** the name of its key, where that is blocked */
  key: string | undefined;
  isDone: boolean;
  error?: Error;
}

interface Key {
  topic: string;
  key_hash: Buffer;
}

interface Candidate extends Partial<Key> {
  id: string;
  size: number | null;
}

/**
 * Handles dead letters again whose replay is asked for, and then those that wait behind them: in the order of each key, up
 * to the first that fails, which is then the dead letter that blocks the key. It handles many in one call, and finds those that
 * fail by bisection.
 * @returns nothing where there is none that no other process has locked
 */
export async function replayBatch(
  tx: PoolClient,
  options: ReplayBatchOptions,
  { limit, isLast }: ReplayAttempt,
): Promise<Replayed[] | undefined> {
  const { group } = options;
  const { heads, keys } = await lockHeads(tx, group, limit);
  if (heads.length === 0 && keys.length === 0) return undefined;
  const waiting = keys.length > 0 ? await lockWaiting(tx, group, keys, limit) : [];
  const letters = await load(tx, withinBytes([...heads, ...waiting]), keys, options);
  await new Attempts(tx, options.handle, isLast).run(letters);
  await writeOutcomes(tx, group, letters);
  const failed = new Set(letters.flatMap(({ key, error }) => (error && key) ?? []));
  const opened = new Set(letters.flatMap(({ key, row, isDone }) => (isDone && !row.is_waiting && key) || []));
  await release(tx, group, keys, (key) => !failed.has(key) && (heads.length === 0 || opened.has(key)));
  return letters;
}

/**
 * Releases the keys whose dead letter is gone: a row was deleted by hand, or a process of an earlier version, which knows no
 * keys, has replayed it.
 */
export async function releaseOrphans(pool: Pool, group: string): Promise<void> {
  await pool.query(
    `UPDATE millrace.blocked_keys b SET is_released = true
     WHERE b.consumer_group = $1 AND NOT b.is_released AND NOT EXISTS (
       SELECT FROM millrace.dead_letters d WHERE d.consumer_group = b.consumer_group AND d.topic = b.topic
         AND d.key_hash = b.key_hash AND NOT d.is_waiting AND ${isPending})`,
    [group],
  );
}

/**
 * Locks dead letters whose replay is asked for, and their keys; where there are none, the keys that are released. A key that another
 * session has locked is left for last: its session can hang, and the other keys do not wait for it.
 * @throws 55P03 where nothing else is left, and the session keeps its key
 */
async function lockHeads(tx: PoolClient, group: string, limit: number): Promise<{ heads: Candidate[]; keys: Key[] }> {
  const left: Candidate[] = [];
  for (let size = limit; ; size = maxLetters) {
    const requested = await lockRequested(
      tx,
      group,
      size,
      left.map(({ id }) => id),
    );
    if (requested.length === 0) {
      const keys = await lockReleased(tx, group);
      return keys.length === 0 && left[0] ? waitForKey(tx, group, left[0]) : { heads: [], keys };
    }
    const { locked, held } = await lockKeysOf(tx, group, requested);
    const heads = requested.filter((head) => !held.has(nameOfKey(head))).slice(0, limit);
    if (heads.length === 0) left.push(...requested);
    else {
      const own = new Set(heads.map(nameOfKey));
      return { heads, keys: locked.filter((key) => own.has(nameOfKey(key))) };
    }
  }
}

/**
 * Locks the key of a dead letter when the session that holds it lets it go: writers that take a busy key one after the other would keep
 * it from who only looks.
 */
async function waitForKey(
  tx: PoolClient,
  group: string,
  head: Candidate,
): Promise<{ heads: Candidate[]; keys: Key[] }> {
  await tx.query(`SET LOCAL lock_timeout = ${keyMs}`);
  const { rows: keys } = await tx.query<Key>(
    `SELECT topic, key_hash FROM millrace.blocked_keys WHERE consumer_group = $1 AND topic = $2 AND key_hash = $3 FOR UPDATE`,
    [group, head.topic, head.key_hash],
  );
  await tx.query('SET LOCAL lock_timeout TO DEFAULT'); // the handler's own locks have the time of the pool
  return { heads: [head], keys };
}

/** @param left the ids of those that are left for later */
async function lockRequested(
  tx: PoolClient,
  group: string,
  limit: number,
  left: readonly string[],
): Promise<Candidate[]> {
  const { rows } = await tx.query<Candidate>(
    `SELECT id, topic, key_hash, octet_length(value) AS size FROM millrace.dead_letters
     WHERE consumer_group = $1 AND ${isRequested} AND NOT is_waiting AND id <> ALL ($3::bigint[])
     ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED`,
    [group, limit, left],
  );
  return withinBytes(rows);
}

/** The rest is for the next transaction. */
function withinBytes(candidates: readonly Candidate[]): Candidate[] {
  let bytes = 0;
  const end = candidates.findIndex(({ size }, i) => {
    bytes += size ?? 0;
    return i > 0 && bytes > maxBytes;
  });
  return candidates.slice(0, end < 0 ? candidates.length : end);
}

/** Locks those of their keys that are blocked. @returns also those that a writer, or another replay, holds, by name */
async function lockKeysOf(
  tx: PoolClient,
  group: string,
  heads: readonly Candidate[],
): Promise<{ locked: Key[]; held: Set<string> }> {
  const keyed = heads.filter(({ key_hash }) => key_hash);
  if (keyed.length === 0) return { locked: [], held: new Set() };
  const { rows } = await tx.query<Key & { is_locked: boolean }>(
    `WITH blocked AS (
       SELECT b.topic, b.key_hash FROM millrace.blocked_keys b
       WHERE b.consumer_group = $1 AND (b.topic, b.key_hash) IN (SELECT * FROM unnest($2::text[], $3::bytea[]))
     ), free AS (
       SELECT b.topic, b.key_hash FROM millrace.blocked_keys b JOIN blocked USING (topic, key_hash)
       WHERE b.consumer_group = $1 ORDER BY b.topic, b.key_hash FOR UPDATE OF b SKIP LOCKED)
     SELECT *, EXISTS (SELECT FROM free f WHERE f.topic = b.topic AND f.key_hash = b.key_hash) AS is_locked FROM blocked b`,
    [group, keyed.map(({ topic }) => topic), keyed.map(({ key_hash }) => key_hash)],
  );
  const { locked = [], held = [] } = Object.groupBy(rows, ({ is_locked }) => (is_locked ? 'locked' : 'held'));
  return { locked, held: new Set(held.map(nameOfKey)) };
}

const nameOfKey = ({ topic, key_hash }: Partial<Key>): string => (topic && key_hash ? keyName(topic, key_hash) : '');

async function lockReleased(tx: PoolClient, group: string): Promise<Key[]> {
  const { rows } = await tx.query<Key>(
    `SELECT topic, key_hash FROM millrace.blocked_keys WHERE consumer_group = $1 AND is_released
     ORDER BY topic, key_hash LIMIT ${maxLetters} FOR UPDATE SKIP LOCKED`,
    [group],
  );
  return rows;
}

/** The first ones of each key: the writer adds no more while the keys are locked. */
async function lockWaiting(tx: PoolClient, group: string, keys: readonly Key[], limit: number): Promise<Candidate[]> {
  const { rows } = await tx.query<Candidate>(
    `SELECT d.id, octet_length(d.value) AS size FROM millrace.dead_letters d
     WHERE d.consumer_group = $1 AND d.is_waiting AND ${isPending}
       AND (d.topic, d.key_hash) IN (SELECT * FROM unnest($2::text[], $3::bytea[]))
     ORDER BY d.id LIMIT $4 FOR UPDATE OF d`,
    [group, ...columnsOf(keys), limit],
  );
  return rows;
}

const columnsOf = (keys: readonly Key[]) => [keys.map(({ topic }) => topic), keys.map(({ key_hash }) => key_hash)];

async function load(
  tx: PoolClient,
  candidates: readonly Candidate[],
  keys: readonly Key[],
  { group, decode }: ReplayBatchOptions,
): Promise<Replayed[]> {
  const blocked = new Set(keys.map(({ topic, key_hash }) => keyName(topic, key_hash)));
  const { rows } = await tx.query<Replayed['row']>(
    `SELECT ${deadLetterColumns}, key_hash, is_waiting FROM millrace.dead_letters WHERE id = ANY ($1::bigint[])
     ORDER BY is_waiting, id`,
    [candidates.map(({ id }) => id)],
  );
  return rows.map((row) => {
    const key = row.key_hash ? keyName(row.topic, row.key_hash) : undefined;
    const item = toItem(messageOf(row), group, decode);
    return { row, item, key: key !== undefined && blocked.has(key) ? key : undefined, isDone: false };
  });
}

/** The attempts to handle the letters of a batch. */
class Attempts {
  readonly #tx: PoolClient;
  readonly #handle: Handle;
  readonly #isLast: boolean;
  readonly #failedKeys = new Set<string>();

  constructor(tx: PoolClient, handle: Handle, isLast: boolean) {
    this.#tx = tx;
    this.#handle = handle;
    this.#isLast = isLast;
  }

  async run(letters: readonly Replayed[]): Promise<void> {
    const due = letters.filter(({ key }) => key === undefined || !this.#failedKeys.has(key));
    if (due.length === 0) return;
    const error = await this.#try(due);
    if (!error) {
      for (const letter of due) letter.isDone = true;
    } else if (due.length === 1) {
      due[0]!.error = error;
      if (due[0]!.key !== undefined) this.#failedKeys.add(due[0]!.key);
    } else {
      // one after the other: what the first half finds to fail keeps those behind it from the second
      const middle = Math.floor(due.length / 2);
      await this.run(due.slice(0, middle));
      await this.run(due.slice(middle));
    }
  }

  /** @returns the error of the messages themselves; then their effects are rolled back */
  async #try(letters: readonly Replayed[]): Promise<Error | undefined> {
    for (const { row, item } of letters) {
      if (row.is_reference) return new InvalidEvent(notKept);
      if (!item.event) return new InvalidEvent(item.failure?.reason ?? 'the message is not an event');
    }
    await this.#tx.query('SAVEPOINT replay');
    try {
      await this.#handle(
        this.#tx,
        letters.map(({ item }) => item.event!),
      );
      await this.#tx.query('RELEASE SAVEPOINT replay');
      return undefined;
    } catch (error) {
      if (isUnavailable(error) && !this.#isLast) throw error;
      await this.#tx.query('ROLLBACK TO SAVEPOINT replay; RELEASE SAVEPOINT replay');
      return toError(error);
    }
  }
}

async function writeOutcomes(tx: PoolClient, group: string, letters: readonly Replayed[]): Promise<void> {
  const done = letters.filter(({ isDone }) => isDone);
  await tx.query(
    `UPDATE millrace.dead_letters SET replayed_at = now(), replay_error = NULL WHERE id = ANY ($1::bigint[])`,
    [done.map(({ row }) => row.id)],
  );
  const failed = letters.filter(({ error }) => error);
  if (failed.length === 0) return;
  // one that waited is now like any other that has failed for the first time
  await tx.query(
    `UPDATE millrace.dead_letters d SET is_waiting = false, attempts = d.attempts + 1,
       reason = CASE WHEN d.is_waiting THEN f.reason ELSE d.reason END,
       error_code = CASE WHEN d.is_waiting THEN f.code ELSE d.error_code END,
       replay_error = CASE WHEN d.is_waiting THEN NULL ELSE f.reason END,
       replay_requested_at = CASE WHEN d.is_waiting THEN NULL ELSE d.replay_requested_at END
     FROM unnest($1::bigint[], $2::text[], $3::text[]) AS f(id, reason, code) WHERE d.id = f.id`,
    [
      failed.map(({ row }) => row.id),
      failed.map(({ error }) => storable(reasonOf(error), maxReason)),
      failed.map(({ error }) => failureOf(error, 1).code ?? null),
    ],
  );
  const opened = failed.filter(({ row }) => row.is_waiting);
  for (const { item, row, error } of opened) item.failure = { ...failureOf(error, 1), isReference: row.is_reference };
  await publishDeadLetters(
    tx,
    group,
    opened.map(({ item }) => item),
  );
}

/** Unblocks the keys that are free and have nothing left that waits; the rest of the others is for the next transaction. */
async function release(
  tx: PoolClient,
  group: string,
  keys: readonly Key[],
  isFree: (key: string) => boolean,
): Promise<void> {
  if (keys.length === 0) return;
  const named = Map.groupBy(keys, ({ topic, key_hash }) => isFree(keyName(topic, key_hash)));
  const free = named.get(true) ?? [];
  const held = named.get(false) ?? [];
  await tx.query(
    `WITH free AS (SELECT * FROM unnest($2::text[], $3::bytea[]) AS k(topic, key_hash)),
       rest AS (
         SELECT k.topic, k.key_hash, EXISTS (
           SELECT FROM millrace.dead_letters d WHERE d.consumer_group = $1 AND d.topic = k.topic
             AND d.key_hash = k.key_hash AND d.is_waiting AND ${isPending}) AS is_left
         FROM free k),
       gone AS (
         DELETE FROM millrace.blocked_keys b USING rest r
         WHERE b.consumer_group = $1 AND b.topic = r.topic AND b.key_hash = r.key_hash AND NOT r.is_left)
     UPDATE millrace.blocked_keys b SET is_released = true FROM rest r
     WHERE b.consumer_group = $1 AND b.topic = r.topic AND b.key_hash = r.key_hash AND r.is_left AND NOT b.is_released`,
    [group, ...columnsOf(free)],
  );
  if (held.length === 0) return;
  await tx.query(
    `UPDATE millrace.blocked_keys b SET is_released = false FROM unnest($2::text[], $3::bytea[]) AS k(topic, key_hash)
     WHERE b.consumer_group = $1 AND b.topic = k.topic AND b.key_hash = k.key_hash AND b.is_released`,
    [group, ...columnsOf(held)],
  );
}
