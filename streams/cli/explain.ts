import { latestStart, openFor, planOf } from '#streams/engine';
import type { Plan } from '#streams/engine';
import type { Aggregate, Row, StreamQuery, WindowSpec } from '#streams/language';
import { alertOf, metricOf } from '#streams/store';
import { durationText, isoText, table } from './text.ts';

/** The time of the examples. */
const example = Date.UTC(2026, 0, 1, 10, 7, 30);

/** Explains a query in plain words and as a table. */
export function explain(query: StreamQuery): string {
  const plan = planOf(query, 1, 1);
  const rows: [string, string][] = [
    ...query.from.map(({ topic, types }, i): [string, string] => [
      i === 0 ? 'sources' : '',
      `${topic}: ${types ? types.join(', ') : 'every type'}`,
    ]),
    ['filter', query.where ? `events for which ${query.where.source}` : 'every event'],
    ['key', query.keyBy ? query.keyBy.source : 'one for all events, named all'],
    ['time', query.timestamp ? query.timestamp.source : 'when the event happened (ce_time)'],
    ...windowRows(query),
    ...query.select.map((aggregate, i): [string, string] => [i === 0 ? 'selects' : '', aggregateText(aggregate)]),
    ...(query.having ? [['having', query.having.source] as [string, string]] : []),
    ['emits', emissionText(query)],
    ['state', stateText(plan)],
  ];
  const sample = query.emit ? [`One event to ${query.emit.to}:`, indented(sampleOf(plan))] : [];
  return [
    `${query.name}: ${sentence(query)}`,
    '',
    table(rows, '  '),
    ...(sample.length > 0 ? ['', ...sample] : []),
  ].join('\n');
}

function sentence({ keyBy, window, windowText, alert, emit, select }: StreamQuery): string {
  const each = keyBy ? `each ${keyBy.source}` : 'all events together';
  const what = select.length > 0 ? select.map(({ name }) => name).join(', ') : 'which keys occurred';
  if (!window) return `every event by itself: ${what}${alert ? ', as an alert' : ''}`;
  const when = alert ? `; an alert ${emit?.on === 'close' ? 'when a window closes' : 'once a window'}` : '';
  return `${what} of ${each}, in windows (${windowText})${when}`;
}

function windowRows({ window, windowText }: StreamQuery): [string, string][] {
  if (!window) return [['window', 'none: every event stands for itself']];
  return [
    ['window', windowText!],
    ['', exampleOf(window)],
    ['late', lateText(window)],
    ['closes', `${durationText(openFor(window))} after its end, in the time of the slowest partition that is not idle`],
  ];
}

function exampleOf(window: WindowSpec): string {
  const { kind, size, advance } = window;
  const event = `an event of ${isoText(example)}`;
  if (kind === 'session') {
    return `${event} by itself is ${spanText(example, example + size)}; events of its key at most ${durationText(size)} apart are one session`;
  }
  const starts: number[] = [];
  for (let start = latestStart(window, example); start > example - size; start -= advance) starts.unshift(start);
  const shown = starts.slice(0, 3).map((start) => spanText(start, start + size));
  const others = starts.length > 3 ? ` and ${starts.length - 3} more` : '';
  return `${event} is in ${shown.join(', ')}${others}`;
}

function spanText(start: number, end: number): string {
  return `${isoText(start)} to ${isoText(end)}`;
}

function lateText({ kind, size, grace }: WindowSpec): string {
  const allowance = durationText(grace);
  if (kind === 'session') {
    return `an event that is ${durationText(size + grace)} (gap and grace) behind the latest of its partition: counted, not used`;
  }
  return `an event whose partition has come ${allowance} beyond the end of its window: counted, not used`;
}

function aggregateText({ name, kind, of, scale, exactUpTo }: Aggregate): string {
  const source = of?.source ?? '';
  const meanings: Record<Aggregate['kind'], string> = {
    count: 'how many events',
    sum: `the sum of ${source}, exact`,
    min: `the minimum of ${source}`,
    max: `the maximum of ${source}`,
    avg: `the average of ${source}, rounded to ${scale} decimal places`,
    distinct: `how many different ${source}: exact up to ${exactUpTo}, an estimate (1.6 %) beyond`,
    value: source,
  };
  return `${name}: ${meanings[kind]}`;
}

function emissionText({ emit, alert, having, window }: StreamQuery): string {
  if (!emit) return 'nothing; its windows are read over HTTP';
  const what = having ? ' where having is true' : '';
  const kind = alert ? `${alert.severity} alerts` : 'its values';
  if (!window) return `${kind} to ${emit.to}, at every event${what}`;
  if (emit.on === 'close') return `${kind} to ${emit.to}, once a window, when it closes${what}`;
  if (alert) return `${kind} to ${emit.to}, once a window, with the first batch after which having is true`;
  return `${kind} to ${emit.to}, ${durationText(emit.everyMs)} after the first change since the last time${what}`;
}

function stateText({ query: { window }, layout }: Plan): string {
  if (!window) return 'none';
  const numbers = layout.accumulators.length;
  const sets = layout.distinct.map((i) => `up to ${layout.accumulators[i]!.exactUpTo} texts, or a sketch of 4 KiB`);
  const kept = [...(numbers > 0 ? [`${numbers} number${numbers === 1 ? '' : 's'}`] : []), ...sets].join(' and ');
  const what = window.kind === 'session' ? 'session' : 'window and key';
  return `a row a ${what} in PostgreSQL${kept ? `: ${kept}` : ''}; for ${durationText(window.retention)} of the stream's time`;
}

/** An event as the query would emit it, with made-up aggregates. */
function sampleOf(plan: Plan): object {
  const { window, emit, select } = plan.query;
  const start = window ? (window.kind === 'session' ? example : latestStart(window, example)) : null;
  const values = Object.fromEntries(select.map(({ name, kind }) => [name, kind === 'count' ? 12 : 42.5]));
  const distinct = select.filter(({ kind }) => kind === 'distinct').map(({ name }) => [name, 7]);
  const row: Row = {
    key: plan.query.keyBy ? '1' : 'all',
    windowStart: start,
    windowEnd: start === null ? null : start + window!.size,
    values: { ...values, ...Object.fromEntries(distinct) },
  };
  const closed = emit?.on === 'close';
  if (plan.query.alert) {
    return alertOf({ plan, row, occurrence: '', traceparent: undefined }, 1, new Date(example + 1_000));
  }
  return metricOf({ plan, row, occurrence: '', closed, updatedAt: example + 1_000 });
}

function indented(value: object): string {
  return JSON.stringify(value, undefined, 2).replaceAll(/^/gm, '  ');
}
