import { StreamsError } from '#streams/errors';
import { isNumeric, roundDecimal } from './decimal.ts';
import type { Row } from './expression.ts';

/** Fills in the placeholders of a message from a row. */
export type Message = (row: Row) => string;

const placeholder = /\{([^{}]*)\}/g;
const form = /^([a-zA-Z_][\w.]*)(?::(\d{1,2}))?$/;

/**
 * Compiles a message such as `User {key}: {revenue:2} until {window.end}`. `{name}` prints a value as it is, `{name:2}`
 * rounded to two decimals if it is a number.
 * @param aggregates the names that the query selects
 * @throws Error that names an unknown placeholder
 */
export function compileMessage(
  template: string,
  aggregates: readonly string[],
  threshold: number | undefined,
): Message {
  const parts: ((row: Row) => string)[] = [];
  let end = 0;
  for (const match of template.matchAll(placeholder)) {
    const text = template.slice(end, match.index);
    if (text !== '') parts.push(() => text);
    parts.push(reader(match[1]!, aggregates, threshold));
    end = match.index + match[0].length;
  }
  const rest = template.slice(end);
  return (row) => parts.map((part) => part(row)).join('') + rest;
}

function reader(inner: string, aggregates: readonly string[], threshold: number | undefined): (row: Row) => string {
  const [, name, places] = form.exec(inner) ?? [];
  const scale = places === undefined ? undefined : Number(places);
  if (name === 'key') return (row) => row.key;
  if (name === 'window.start') return (row) => iso(row.windowStart);
  if (name === 'window.end') return (row) => iso(row.windowEnd);
  if (name === 'threshold' && threshold !== undefined) return () => print(threshold, scale);
  if (name !== undefined && aggregates.includes(name)) return (row) => print(row.values[name] ?? '', scale);
  const known = ['key', 'window.start', 'window.end', ...(threshold === undefined ? [] : ['threshold']), ...aggregates];
  throw new StreamsError('ERR_QUERY_MESSAGE', `{${inner}} names nothing here; known are ${known.join(', ')}`);
}

function print(value: number | string, scale: number | undefined): string {
  const text = String(value);
  return scale === undefined || !isNumeric(text) ? text : roundDecimal(text, scale);
}

function iso(time: number | null): string {
  return time === null ? '' : new Date(time).toISOString();
}
