import type { PoolClient } from '#platform/postgres';
import type { Combine, Delta, Deltas, Plan, WindowDelta } from '#streams/engine';
import { havingSql } from './having.ts';
import { arrayText, plainArray, readAccumulators, setsText } from './literals.ts';
import { addSets } from './sets.ts';

/** A window after a batch. */
export interface ChangedWindow {
  plan: Plan;
  start: number;
  end: number;
  key: string;
  accumulators: string[];
  sets: string[];
  alerted: boolean;
  /** the events of the batch in it */
  delta: Delta;
}

export interface WindowChanges {
  /** of queries with an alert on change: windows without an alert so far, except those that `having` surely excludes */
  changed: ChangedWindow[];
  /** of closed windows */
  refused: WindowDelta[];
}

/**
 * Adds the deltas of a batch to their windows, with one statement for all queries whose accumulators combine alike.
 * Statements and their rows are sorted: all batches lock in the same order and cannot deadlock.
 */
export async function addToWindows(tx: PoolClient, windows: ReadonlyMap<Plan, Deltas>): Promise<WindowChanges> {
  const changes: WindowChanges = { changed: [], refused: [] };
  const byShape = new Map<string, Plan[]>();
  for (const plan of [...windows.keys()].toSorted((a, b) => a.id - b.id)) {
    const shape = shapeOf(plan);
    const plans = byShape.get(shape);
    if (plans) plans.push(plan);
    else byShape.set(shape, [plan]);
  }
  for (const shape of [...byShape.keys()].toSorted()) {
    const plans = byShape.get(shape)!;
    const kind = kindOf(plans[0]!);
    const hasSets = plans[0]!.layout.distinct.length > 0;
    const items = plans.flatMap((plan) => itemsOf(plan, windows.get(plan)!));
    const text = textOf(plans, kind);
    const { rows } = await tx.query<ReturnedRow>({
      name: preparedName(text),
      text,
      values: valuesOf(items),
      rowMode: 'array',
    });
    if (kind === 'close') changes.refused.push(...refusedOf(items, rows));
    if (kind !== 'alert' && !hasSets) continue;
    let standing = rows.map((row) => changedWindow(row, plans, windows));
    if (hasSets) standing = await addSets(tx, standing);
    if (kind === 'alert') changes.changed.push(...standing.filter(({ alerted }) => !alerted));
  }
  return changes;
}

/** Which windows of a query the statement returns: none, those that can raise an alert, or all, to find the closed ones. */
type Kind = 'plain' | 'alert' | 'close';

function kindOf({ query }: Plan): Kind {
  if (query.emit?.on === 'close') return 'close';
  return query.alert ? 'alert' : 'plain';
}

const operators: Record<Combine, string> = { add: '+', min: '<', max: '>', distinct: '#' };

/** Queries of one shape share a statement. */
function shapeOf(plan: Plan): string {
  return `${kindOf(plan)} ${plan.layout.accumulators.map(({ combine }) => operators[combine]).join('')}`;
}

const preparedNames = new Map<string, string>();

/** The name of a prepared statement; there are few of them. */
function preparedName(text: string): string {
  let name = preparedNames.get(text);
  if (name === undefined) preparedNames.set(text, (name = `windows-${preparedNames.size}`));
  return name;
}

function itemsOf(plan: Plan, deltas: Deltas): WindowDelta[] {
  const starts = [...deltas].toSorted(([a], [b]) => a - b);
  return starts.flatMap(([start, keys]) =>
    [...keys.keys()].toSorted().map((key) => ({ plan, start, key, delta: keys.get(key)! })),
  );
}

/**
 * Values that all rows of a window share (query, start, end, interval, closing) are sent once, and rows refer to them by a
 * number `g`. A window becomes due one interval after its first change since the last emission.
 */
function textOf(plans: readonly Plan[], kind: Kind): string {
  const { accumulators, distinct } = plans[0]!.layout;
  const columns = accumulators.map((_, i) => `a${i}`);
  const parameters = accumulators.map((_, i) => `$${i + 8}::numeric[]`);
  const hasSets = distinct.length > 0;
  const sets = hasSets ? ', sets' : '';
  const setsParameter = hasSets ? [`$${accumulators.length + 8}::text[]`] : [];
  const combined = accumulators.map(({ combine }, i) => {
    const [old, added] = [`w.accumulators[${i + 1}]`, `excluded.accumulators[${i + 1}]`];
    if (combine === 'distinct') return old; // `addSets` merges the sets
    return combine === 'add' ? `${old} + ${added}` : `${combine === 'min' ? 'least' : 'greatest'}(${old}, ${added})`;
  });
  const conflict =
    accumulators.length === 0
      ? 'DO NOTHING'
      : `DO UPDATE SET accumulators = ARRAY[${combined.join(', ')}],
           due_at = coalesce(w.due_at, excluded.due_at), updated_at = excluded.updated_at
         WHERE w.closed IS NOT TRUE`;
  const insert = `INSERT INTO stream_windows AS w
      (query_id, window_start, window_end, due_at, closed, key, accumulators, updated_at${sets})
    SELECT ($1::int[])[g], to_timestamp(($2::float8[])[g]), to_timestamp(($3::float8[])[g]),
           now() + ($4::interval[])[g], ($5::boolean[])[g],
           k, ARRAY[${columns.join(', ')}]::numeric[], now()${hasSets ? ', sets::text[]' : ''}
    FROM unnest(${['$6::int[]', '$7::text[]', ...parameters, ...setsParameter].join(', ')})
      AS t(${['g', 'k', ...columns].join(', ')}${sets})
    ON CONFLICT (query_id, window_start, key) ${conflict}`;
  const start = '(extract(epoch FROM window_start) * 1000)::float8';
  if (hasSets) return `${insert} RETURNING query_id, ${start}, key, accumulators::text, alerted, sets`;
  if (kind === 'plain') return insert;
  if (kind === 'close') return `${insert} RETURNING query_id, ${start}, key`;
  const having = plans.map((plan) => `WHEN ${plan.id} THEN ${havingSql(plan)}`).join(' ');
  return `WITH changed AS (${insert} RETURNING query_id, window_start, key, accumulators, alerted)
    SELECT query_id, ${start}, key, accumulators::text, alerted FROM changed WHERE NOT alerted AND CASE query_id ${having} END`;
}

function valuesOf(items: readonly WindowDelta[]): unknown[] {
  const groups: { plan: Plan; start: number }[] = [];
  const group: number[] = [];
  for (const { plan, start } of items) {
    const last = groups.at(-1);
    if (last?.plan !== plan || last.start !== start) groups.push({ plan, start });
    group.push(groups.length);
  }
  return [
    plainArray(groups, ({ plan }) => plan.id),
    plainArray(groups, ({ start }) => start / 1000),
    plainArray(groups, ({ plan, start }) => (start + plan.query.window!.size) / 1000),
    plainArray(groups, ({ plan }) => dueAfter(plan) ?? 'NULL'),
    plainArray(groups, ({ plan }) => (plan.query.emit?.on === 'close' ? 'false' : 'NULL')),
    `{${group.join(',')}}`,
    `{${items.map(({ key }) => arrayText(key)).join(',')}}`,
    ...items[0]!.plan.layout.accumulators.map((_, i) => plainArray(items, ({ delta }) => delta.value(i))),
    ...(items[0]!.plan.layout.distinct.length > 0 ? [items.map(({ delta }) => setsText(delta.sets()))] : []),
  ];
}

/** Whether the values of changed windows are emitted. The batch itself raises alerts. */
export function emitsChanges({ query: { emit, alert } }: Plan): boolean {
  return emit?.on === 'change' && !alert;
}

/**
 * How long after its change a window is emitted; null: not on change. A version that is being built makes its changes due at
 * `infinity`, where the search for due windows does not meet them.
 */
export function dueAfter(plan: Plan): string | null {
  if (!emitsChanges(plan)) return null;
  return plan.isBuilding ? 'infinity' : `${plan.query.emit!.everyMs}ms`;
}

type ReturnedRow = [
  queryId: number,
  start: number,
  key: string,
  accumulators: string,
  alerted: boolean,
  sets?: string[] | null,
];

function changedWindow(
  [id, start, key, accumulators, alerted, sets]: ReturnedRow,
  plans: readonly Plan[],
  windows: ReadonlyMap<Plan, Deltas>,
): ChangedWindow {
  const plan = plans.find((candidate) => candidate.id === id)!;
  const delta = windows.get(plan)!.get(start)!.get(key)!;
  const end = start + plan.query.window!.size;
  return { plan, start, end, key, delta, alerted, accumulators: readAccumulators(accumulators), sets: sets ?? [] };
}

/** The items without a returned row. The rows are in the order of the items. */
function refusedOf(items: readonly WindowDelta[], rows: readonly ReturnedRow[]): WindowDelta[] {
  let next = 0;
  return items.filter(({ plan, start, key }) => {
    if (plan.layout.accumulators.length === 0) return false; // the key exists, and there is nothing to add
    const row = rows[next];
    const returned = row?.[0] === plan.id && row[1] === start && row[2] === key;
    if (returned) next += 1;
    return !returned;
  });
}
