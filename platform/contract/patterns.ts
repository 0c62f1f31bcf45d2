import { textPattern } from './text.ts';
import { timePattern } from './time.ts';

/** What to say about a value that does not match a pattern. */
export const patternMessages: ReadonlyMap<string, string> = new Map([
  [textPattern, 'must be well-formed text without NUL'],
  [timePattern, 'must be an ISO 8601 time'],
]);
