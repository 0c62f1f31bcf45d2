import type { PoolClient } from '#platform/postgres';
import type { StoredSession, MergedSession, Plan, SessionChanges, SessionDelta, Sessions } from '#streams/engine';
import { mergeSessions } from '#streams/engine';
import { readAccumulators, setsText } from './literals.ts';
import { dueAfter } from './windows.ts';
import type { WindowChanges } from './windows.ts';

/** The sessions of one key in a batch. */
interface Item {
  plan: Plan;
  key: string;
  bucket: number;
  sessions: readonly SessionDelta[];
}

/** The number of locks of a query: so many writers can change its sessions at once, and one transaction holds no more. */
const buckets = 32;

/**
 * Merges the sessions of a batch into the stored ones: it reads those that they touch, merges them, and writes the result. A
 * new session has no row to lock, so writers take an advisory lock on the bucket of the key until the commit, all in the same
 * order.
 */
export async function addToSessions(tx: PoolClient, sessions: Sessions): Promise<WindowChanges> {
  const changes: WindowChanges = { changed: [], refused: [] };
  const items = itemsOf(sessions);
  if (items.length === 0) return changes;
  await lock(tx, items);
  const kept = await readTouched(tx, items);
  const outcomes = items.map(({ plan, key, sessions: deltas }) => {
    const closes = plan.query.emit?.on === 'close';
    const own = kept.get(nameOf(plan.id, key)) ?? [];
    return { plan, key, ...mergeSessions(plan.layout.accumulators, own, deltas, closes) };
  });
  await write(tx, outcomes);
  for (const { plan, key, merged, refused } of outcomes) {
    for (const { start, delta } of refused) changes.refused.push({ plan, key, start, delta });
    if (!plan.query.alert || plan.query.emit?.on === 'close') continue;
    changes.changed.push(...merged.filter(({ alerted }) => !alerted).map((session) => ({ plan, key, ...session })));
  }
  return changes;
}

function itemsOf(sessions: Sessions): Item[] {
  const items = [...sessions].flatMap(([plan, keys]) =>
    [...keys].map(([key, list]): Item => ({ plan, key, bucket: bucketOf(key), sessions: list.sessions })),
  );
  return items.toSorted((a, b) => a.plan.id - b.plan.id || a.bucket - b.bucket);
}

function bucketOf(key: string): number {
  let hash = 0;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash, 31) + key.charCodeAt(i);
  return (hash >>> 0) % buckets;
}

function nameOf(queryId: number, key: string): string {
  return `${queryId}\n${key}`;
}

/** The lock numbers are above 32 bits, apart from other locks, whose numbers are hashes of texts. */
async function lock(tx: PoolClient, items: readonly Item[]): Promise<void> {
  const numbers = new Set(items.map(({ plan, bucket }) => BigInt(plan.id) * 2n ** 32n + BigInt(bucket)));
  await tx.query({
    name: 'sessions-lock',
    text: 'SELECT pg_advisory_xact_lock(n) FROM unnest($1::bigint[]) AS n',
    values: [[...numbers]],
  });
}

type TouchedRow = [
  queryId: number,
  key: string,
  start: number,
  end: number,
  accumulators: string,
  closed: boolean | null,
  alerted: boolean,
  emissions: number,
  sets: string[] | null,
  replaces: number[],
  dueAt: number | null,
];

/** A timestamp in a statement, from milliseconds since 1970; rounded as the columns are. */
const at = (ms: string) => `to_timestamp(${ms} / 1000)::timestamptz(3)`;
const msOf = (column: string) => `(extract(epoch FROM ${column}) * 1000)::float8`;

/** The stored sessions that touch one of the batch, by query and key; locked, so that nobody emits or closes them. */
async function readTouched(tx: PoolClient, items: readonly Item[]): Promise<Map<string, StoredSession[]>> {
  const spans = items.flatMap(({ plan, key, sessions }) =>
    sessions.map(({ start, end }) => [plan.id, key, start, end] as const),
  );
  const { rows } = await tx.query<TouchedRow>({
    name: 'sessions-read',
    rowMode: 'array',
    text: `SELECT w.query_id, w.key, ${msOf('w.window_start')}, ${msOf('w.window_end')}, w.accumulators::text,
        w.closed, w.alerted, w.emissions, w.sets, ARRAY(SELECT ${msOf('r')} FROM unnest(w.replaces) AS r), ${msOf('w.due_at')}
      FROM unnest($1::int[], $2::text[], $3::float8[], $4::float8[]) AS s(query_id, key, first, last)
      JOIN stream_windows w ON w.query_id = s.query_id AND w.key = s.key
        AND w.window_end >= ${at('s.first')} AND w.window_start <= ${at('s.last')} AND w.replaces IS NOT NULL
      FOR UPDATE OF w`,
    values: [0, 1, 2, 3].map((column) => spans.map((span) => span[column])),
  });
  const byKey = new Map<string, Map<number, StoredSession>>(); // two sessions of the batch can touch the same one
  for (const [id, key, start, end, accumulators, closed, alerted, emissions, sets, replaces, dueAt] of rows) {
    const name = nameOf(id, key);
    const kept = { start, end, closed, alerted, emissions, sets: sets ?? [], replaces, dueAt };
    const own = byKey.get(name) ?? new Map<number, StoredSession>();
    byKey.set(name, own.set(start, { ...kept, accumulators: readAccumulators(accumulators) }));
  }
  return new Map([...byKey].map(([name, own]) => [name, [...own.values()]]));
}

type KeyChanges = SessionChanges & { plan: Plan; key: string };

async function write(tx: PoolClient, outcomes: readonly KeyChanges[]): Promise<void> {
  const gone = outcomes.flatMap(({ plan, key, absorbed }) => absorbed.map((start) => [plan.id, key, start] as const));
  const written = outcomes.flatMap(({ plan, key, merged }) => merged.map((session) => valuesOf(plan, key, session)));
  if (written.length === 0) return;
  await tx.query({
    name: 'sessions-write',
    text: `WITH gone AS (
        DELETE FROM stream_windows w USING unnest($1::int[], $2::text[], $3::float8[]) AS g(query_id, key, start)
        WHERE w.query_id = g.query_id AND w.key = g.key AND w.window_start = ${at('g.start')})
      INSERT INTO stream_windows AS w (query_id, key, window_start, window_end, accumulators, sets, closed, alerted,
        emissions, replaces, due_at, updated_at)
      SELECT query_id, key, ${at('first')}, ${at('last')}, accumulators::numeric[], sets::text[], closed, alerted,
        emissions, ARRAY(SELECT ${at('r')} FROM unnest(replaces::float8[]) AS r), least(${at('due')}, now() + every), now()
      FROM unnest($4::int[], $5::text[], $6::float8[], $7::float8[], $8::text[], $9::text[], $10::boolean[], $11::boolean[],
        $12::int[], $13::text[], $14::float8[], $15::interval[])
        AS t(query_id, key, first, last, accumulators, sets, closed, alerted, emissions, replaces, due, every)
      ON CONFLICT (query_id, window_start, key) DO UPDATE SET window_end = excluded.window_end,
        accumulators = excluded.accumulators, sets = excluded.sets, alerted = excluded.alerted, replaces = excluded.replaces,
        due_at = excluded.due_at, updated_at = excluded.updated_at`,
    values: [
      ...[0, 1, 2].map((column) => gone.map((row) => row[column])),
      ...written[0]!.map((_, column) => written.map((row) => row[column])),
    ],
  });
}

function valuesOf(plan: Plan, key: string, session: MergedSession): unknown[] {
  const { start, end, accumulators, sets, closed, alerted, emissions, replaces, dueAt } = session;
  const row = [plan.id, key, start, end, `{${accumulators.join(',')}}`, setsText(sets), closed, alerted, emissions];
  return [...row, `{${replaces.join(',')}}`, dueAt, dueAfter(plan)];
}
