import { Type } from 'typebox';

const iso = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})?)?$/;

/** Parses an ISO 8601 date or time, in UTC if it has no zone. Undefined if the text is not one, or the day does not exist. */
export function parseTime(text: string): Date | undefined {
  // the plus sign of a zone offset becomes a blank if a client does not escape it in a query string
  const match = iso.exec(text.replace(/ (\d{2}:\d{2})$/, '+$1'));
  if (!match) return undefined;
  const zoned = match[1] === undefined || match[4] !== undefined;
  const time = new Date(zoned ? match[0] : `${match[0]}Z`);
  if (Number.isNaN(time.getTime())) return undefined;
  const day = Number(text.slice(8, 10));
  const midnight = new Date(`${text.slice(0, 10)}T00:00:00Z`);
  return midnight.getUTCDate() === day ? time : undefined; // 30 February rolls over in Date
}

/** the last minute that was parsed, as text up to the colon, and in milliseconds since 1970 */
let minute = { text: '?', ms: 0 };

/**
 * Date.parse, and a fifth of its time for a text of `toISOString` in the same minute as the last one: events come in the order
 * of their time.
 */
export function parseEventTime(text: string): number {
  if (text.length === 24 && text.startsWith(minute.text) && text[19] === '.' && text[23] === 'Z') {
    const seconds = digits(text, 17, 19);
    const ms = digits(text, 20, 23);
    if (seconds < 60) return minute.ms + 1_000 * seconds + ms; // false for NaN
  }
  const time = Date.parse(text);
  if (text.length === 24 && iso.test(text) && text.slice(11, 13) < '24')
    minute = { text: text.slice(0, 17), ms: Date.parse(`${text.slice(0, 17)}00.000Z`) };
  return time;
}

/** NaN where there is anything else. */
function digits(text: string, from: number, to: number): number {
  let number = 0;
  for (let i = from; i < to; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (!(digit >= 0 && digit <= 9)) return Number.NaN;
    number = 10 * number + digit;
  }
  return number;
}

/** A time in a body or an event: ISO 8601 with milliseconds and `Z`. */
export const Time = Type.String({ format: 'date-time', examples: ['2026-01-01T12:00:00.000Z'] });

/** A time in a query string: ISO 8601, UTC without a zone. */
export const QueryTime = Type.Refine(
  Type.String({ maxLength: 40, examples: ['2026-01-01T00:00:00'] }),
  (text) => typeof text !== 'string' || parseTime(text) !== undefined,
  () => 'must be an ISO 8601 time',
);
