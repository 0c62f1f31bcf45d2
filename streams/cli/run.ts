import type { ReceivedEvent } from '#platform/contract';
import type { PartitionState, Plan, Tally } from '#streams/engine';
import { queryWatermark, MemoryEngine, openFor, passes, planOf, PlanSet } from '#streams/engine';
import type { Row, StreamQuery } from '#streams/language';
import { countOf, durationText, isoText, table } from './text.ts';

/** The results of a query for a recorded stream. */
export interface QueryRun {
  plan: Plan;
  tally: Tally;
  /** the watermark at the end of the stream; undefined if it is empty */
  watermark: number | undefined;
  /** the windows at the end, by start and key */
  windows: { row: Row; closed: boolean }[];
  /** what the query would emit: alerts when they are raised, windows as they are at the end */
  emitted: Row[];
}

const nothing: Tally = { matched: 0, late: 0, latestMs: 0, failed: 0, failure: undefined };

/**
 * Runs queries on a recorded stream, event by event.
 * @param now milliseconds since 1970: events of the future do not advance the watermark
 */
export function runQueries(queries: readonly StreamQuery[], events: readonly ReceivedEvent[], now: number): QueryRun[] {
  const engine = new MemoryEngine(new PlanSet(queries.map((query, i) => planOf(query, i + 1, 1))));
  const emitted = new Map<Plan, Row[]>(engine.plans.plans.map((plan) => [plan, []]));
  for (const event of events) {
    const { crossings, occurrences } = engine.handle([event], now);
    for (const { plan, row } of crossings) emitted.get(plan)!.push(row);
    for (const { plan, key, values } of occurrences) {
      if (plan.query.emit) emitted.get(plan)!.push({ key, windowStart: null, windowEnd: null, values });
    }
  }
  const partitions = [...engine.watermarks.values()].map((own): PartitionState => {
    const { topic, partition } = own;
    const watermarks = new Map(own.entries().map(({ clock, watermark }) => [clock, { watermark, updatedAt: now }]));
    return { topic, partition, offsets: { low: 0n, high: 0n }, nextOffset: 0n, watermarks };
  });
  return engine.plans.plans.map((plan) => {
    const { emit, alert, window } = plan.query;
    const watermark = queryWatermark(plan, { partitions, now });
    const windows = engine.rows(plan).map((row) => {
      const closed = watermark !== undefined && row.windowEnd! + openFor(window!) <= watermark;
      return { row, closed };
    });
    if (window && emit && !(alert && emit.on === 'change')) {
      const said = windows.filter(({ row, closed }) => (emit.on === 'change' || closed) && passes(plan, row));
      emitted.get(plan)!.push(...said.map(({ row }) => row));
    }
    return { plan, tally: engine.tallies.get(plan) ?? nothing, watermark, windows, emitted: emitted.get(plan)! };
  });
}

/** A run as text for people. */
export function runText({ plan: { query }, tally, watermark, windows, emitted }: QueryRun): string {
  const { matched, late, latestMs, failed, failure } = tally;
  const names = query.select.map(({ name }) => name);
  const valuesOf = (row: Row) =>
    names.map((name) => (row.estimates?.includes(name) ? `~${row.values[name]}` : (row.values[name] ?? '')));
  const parts = [
    `${query.name}: ${countOf(matched, 'event')} counted`,
    `${late} late${late > 0 ? ` (the latest by ${durationText(latestMs)})` : ''}`,
    `${failed} without a result${failure === undefined ? '' : ` (the last: ${failure})`}`,
    watermark === undefined ? 'no time' : `complete up to ${isoText(watermark)}`,
  ];
  const lines = [parts.join(', ')];
  if (query.window) {
    lines.push(`  ${countOf(windows.length, 'window')}`);
    const rows = windows.map(({ row, closed }) => [
      isoText(row.windowStart),
      isoText(row.windowEnd),
      row.key,
      closed ? 'closed' : 'open',
      ...valuesOf(row),
    ]);
    if (rows.length > 0) lines.push(table([['start', 'end', 'key', 'state', ...names], ...rows], '    '));
  }
  const { emit, alert } = query;
  if (!emit) return lines.join('\n');
  lines.push(`  ${countOf(emitted.length, alert ? 'alert' : 'event')} to ${emit.to}`);
  const said = emitted.map((row) =>
    alert ? [alert.severity, alert.message(row)] : [isoText(row.windowStart), row.key, ...valuesOf(row)],
  );
  if (said.length > 0) lines.push(table(said, '    '));
  return lines.join('\n');
}

/** A run as JSON, one object on each line: the windows, the emitted events, and a summary. */
export function runJson({ plan: { query }, tally, watermark, windows, emitted }: QueryRun): string {
  const { matched, late, latestMs, failed, failure = null } = tally;
  const rowOf = ({ key, windowStart, windowEnd, values, estimates = [] }: Row) => ({
    key,
    windowStart: isoText(windowStart) || null,
    windowEnd: isoText(windowEnd) || null,
    values,
    ...(estimates.length > 0 && { estimates }),
  });
  const { emit, alert } = query;
  const emission = (row: Row) =>
    alert ? { alert: { severity: alert.severity, message: alert.message(row), ...rowOf(row) } } : { event: rowOf(row) };
  const complete = watermark === undefined ? null : isoText(watermark);
  return [
    ...windows.map(({ row, closed }) => ({ query: query.name, window: { ...rowOf(row), closed } })),
    ...emitted.map((row) => ({ query: query.name, to: emit?.to, ...emission(row) })),
    { query: query.name, summary: { matched, late, latestMs, failed, failure, watermark: complete } },
  ]
    .map((line) => JSON.stringify(line))
    .join('\n');
}
