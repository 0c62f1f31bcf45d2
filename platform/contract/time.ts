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

/** A time in a body or an event: ISO 8601 with milliseconds and `Z`. */
export const Time = Type.String({ format: 'date-time', examples: ['2026-01-01T12:00:00.000Z'] });

/** A time in a query string: ISO 8601, UTC without a zone. */
export const QueryTime = Type.Refine(
  Type.String({ maxLength: 40, examples: ['2026-01-01T00:00:00'] }),
  (text) => typeof text !== 'string' || parseTime(text) !== undefined,
  () => 'must be an ISO 8601 time',
);
