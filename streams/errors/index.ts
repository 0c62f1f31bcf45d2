import { CodedError } from '#platform/errors';
import type { streamsErrors } from './catalogue.ts';

export { streamsErrors } from './catalogue.ts';

/** An error of the stream queries. */
export class StreamsError extends CodedError<keyof typeof streamsErrors> {
  override name = 'StreamsError';
}
