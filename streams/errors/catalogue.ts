import type { ErrorCatalogue } from '#platform/errors';

/** The errors of the stream queries. */
export const streamsErrors = {
  ERR_QUERY_EVENT_UNUSABLE: {
    means: 'A query cannot use an event: its key is no text, or a figure is no number.',
    action: 'Nothing stops: the query leaves the event out and counts it. Mend the query, or who writes the events.',
  },
  ERR_QUERY_EXPRESSION: {
    means: 'An expression of a query cannot be read, or has the wrong type.',
    action: 'Mend the expression at the line that the message names.',
  },
  ERR_QUERY_EXPRESSION_RESULT: {
    means: 'An expression has no result for an event: a field is missing, or has another type.',
    action: 'Nothing stops: the query leaves the event out and counts it. Test for the field with `has()`.',
  },
  ERR_QUERY_FILES: {
    means: 'Files of stream queries cannot be used.',
    action: 'Mend each line that the message lists. What ran before goes on.',
  },
  ERR_QUERY_MESSAGE: {
    means: 'The message of an alert names something that is not known there.',
    action: 'Use one of the names that the message lists.',
  },
  ERR_QUERY_NUMBER: {
    means: 'A text is no decimal number.',
    action: 'Nothing stops: the query leaves the event out and counts it. Mend who writes the events.',
  },
  ERR_QUERY_PARTITION_NEW: {
    means: 'A partition was added to a topic while queries were put into effect.',
    action: 'Nothing: it is tried again with the new partition.',
  },
  ERR_QUERY_PARTITION_UNKNOWN: {
    means: 'A partition was to be read before it was prepared.',
    action: 'Report it: this is a fault of streams/store.',
  },
  ERR_QUERY_TOOL: {
    means: 'The command `npm run query` cannot do what it was asked.',
    action: 'Do what the message says.',
  },
} as const satisfies ErrorCatalogue;
