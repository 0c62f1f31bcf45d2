import type { ErrorCatalogue } from '#platform/errors';

/** The errors of the stream queries. */
export const streamsErrors = {
  ERR_LIVE_STREAM_HELD: {
    means:
      'The live stream sends nothing: a transaction is open in a database of the server, and can still write what comes before the rows ' +
      'that are there.',
    action:
      'Find out what the transaction that the message names is for; `SELECT pg_terminate_backend(<process>)` ends it.',
  },
  ERR_QUERY_EVENT_UNUSABLE: {
    means: 'A query cannot use an event: its key is not a text, or an aggregated value is not a number.',
    action:
      'Nothing stops: the query leaves the event out and counts it. Correct the query, or the producer of the events.',
  },
  ERR_QUERY_EXPRESSION: {
    means: 'An expression of a query has a syntax mistake, or the wrong type.',
    action: 'Correct the expression at the line that the message names.',
  },
  ERR_QUERY_EXPRESSION_RESULT: {
    means: 'An expression has no result for an event: a field is missing, or has another type.',
    action: 'Nothing stops: the query leaves the event out and counts it. Test for the field with `has()`.',
  },
  ERR_QUERY_FILES: {
    means: 'Files of stream queries have mistakes.',
    action: 'Correct each line that the message lists. The previous versions keep running.',
  },
  ERR_QUERY_MESSAGE: {
    means: 'The message of an alert has an unknown name.',
    action: 'Use one of the names that the message lists.',
  },
  ERR_QUERY_NOT_BUILT: {
    means:
      'The events from before a query was changed cannot be read again: the new version does not serve, and the one before goes on.',
    action:
      'Do what the message says. Where a topic was created again, the group `<group>.versions` needs a decision of its own: `npm run offsets`.',
  },
  ERR_QUERY_NUMBER: {
    means: 'A text is not a decimal number.',
    action: 'Nothing stops: the query leaves the event out and counts it. Correct the producer of the events.',
  },
  ERR_QUERY_PARTITION_NEW: {
    means: 'A topic got a new partition while queries were loaded.',
    action: 'Nothing: the load is retried with the new partition.',
  },
  ERR_QUERY_PARTITION_UNKNOWN: {
    means: 'A partition was read before it was prepared.',
    action: 'Report it: this is a fault of streams/store.',
  },
  ERR_QUERY_TOOL: {
    means: 'The command `npm run query` has failed.',
    action: 'Follow the message.',
  },
  ERR_QUERY_TOPIC_UNOBSERVED: {
    means:
      'Kafka has told nothing of a topic for 15 seconds: nobody knows how far it is read, and the windows of the queries that read it do not close.',
    action:
      'Bring back what the message names: a broker, the topic, or the right to describe it. The windows close then.',
  },
  ERR_QUERY_WINDOWS_FAIL: {
    means:
      'The windows of a query cannot be emitted or closed; the message has the query and the reason. The other queries go on.',
    action:
      'Remove the cause, or correct the query. Its windows follow by themselves: none is lost. If the reason does not help, report it.',
  },
} as const satisfies ErrorCatalogue;
