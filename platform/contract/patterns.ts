import { textPattern } from './text.ts';
import { eventTimePattern, timePattern } from './time.ts';

/** What to say about a value that does not match a pattern. */
export const patternMessages: ReadonlyMap<string, string> = new Map([
  [textPattern, 'must be well-formed text without NUL'],
  [eventTimePattern, 'must be a time from the year 1000 on, with a zone'],
  [timePattern, 'must be an ISO 8601 time'],
]);
