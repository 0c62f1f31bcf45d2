import { Type } from 'typebox';

const monthAndDay =
  '(?:02-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01]))';
const leapYear = '(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)';
// 24:00 is the end of the day
const clock = '(?:(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\\.[0-9]{1,9})?)?|24:00(?::00(?:\\.0{1,9})?)?)';
// the plus sign of a zone offset becomes a blank if a client does not escape it in a query string
const zone = '(?:Z|[+ -](?:[01][0-9]|2[0-3]):[0-5][0-9])';

/** A day that exists, with a time of the day and a zone or without. */
export const timePattern = `^(?:[0-9]{4}-${monthAndDay}|${leapYear}-02-29)(?:T${clock}${zone}?)?$`;

const iso = new RegExp(timePattern);

/** Parses an ISO 8601 date or time, in UTC if it has no zone. Undefined if the text is not one, or the day does not exist. */
export function parseTime(text: string): Date | undefined {
  if (!iso.test(text)) return undefined;
  const escaped = text.replace(' ', '+');
  const isZoned = escaped.length === 10 || /(?:Z|[+-]\d{2}:\d{2})$/.test(escaped.slice(10));
  return new Date(isZoned ? escaped : `${escaped}Z`);
}

/** the last minute that was parsed, as text up to the colon, and in milliseconds since 1970 */
let minute = { text: '?', ms: 0 };

/**
 * The time of an event (RFC 3339, and UTC if it has no zone, whatever the zone of this machine is) in milliseconds since 1970; NaN
 * if the text is none. A text of `toISOString` in the same minute as the last one takes a tenth: events come in the order of
 * their time.
 */
export function parseEventTime(text: string): number {
  if (text.length === 24 && text.startsWith(minute.text) && text[19] === '.' && text[23] === 'Z') {
    const seconds = digits(text, 17, 19);
    const ms = digits(text, 20, 23);
    if (seconds < 60) return minute.ms + 1_000 * seconds + ms; // false for NaN
  }
  const time = text.includes(' ') ? Number.NaN : (parseTime(text.toUpperCase())?.getTime() ?? Number.NaN);
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

/** A time in a body: ISO 8601 with milliseconds and `Z`. */
export const Time = Type.String({ format: 'date-time', examples: ['2026-01-01T12:00:00.000Z'] });

/** A year with four digits, and a zone that PostgreSQL takes. */
export const eventTimePattern = '^[1-9].*(?:[Zz]|[+-](?:0[0-9]|1[0-5]):[0-5][0-9])$';

/** A time in an event, which each database of a consumer can store: PostgreSQL reads none of 160 characters. */
export const EventTime = Type.String({
  format: 'date-time',
  pattern: eventTimePattern,
  maxLength: 64,
  examples: ['2026-01-01T12:00:00.000Z'],
});

/** A time in a query string: ISO 8601, UTC without a zone. */
export const QueryTime = Type.String({
  pattern: timePattern,
  maxLength: 40,
  description: 'ISO 8601; UTC without a zone',
  examples: ['2026-01-01T00:00:00'],
});
