import { Type } from 'typebox';
import type { Static } from 'typebox';
import { Id, Time } from '#platform/contract';

/** How much an alert matters, the least first. */
export const severities = ['info', 'warning', 'critical'] as const;
export type Severity = (typeof severities)[number];

const nullableTime = Type.Union([Time, Type.Null()]);

/** The names of the values that are not exact. */
const estimates = Type.Optional(
  Type.Array(Type.String(), { description: 'values that are estimates: distinct counts beyond their bound' }),
);

/** A window of a stream query; `values` holds the names that the query selects. */
export const Window = Type.Object({
  query: Type.String(),
  key: Type.String(),
  windowStart: Time,
  windowEnd: Time,
  values: Type.Record(Type.String(), Type.Union([Type.Number(), Type.String(), Type.Null()])),
  estimates,
  closed: Type.Boolean(),
  updatedAt: Time,
});
export type Window = Static<typeof Window>;

/** Something that a stream query wants to be told. */
export const Alert = Type.Object({
  id: Id,
  type: Type.String({ description: 'the stream query that raised it', examples: ['high-value-order'] }),
  severity: Type.Enum(severities),
  message: Type.String(),
  key: Type.String(),
  windowStart: nullableTime,
  windowEnd: nullableTime,
  value: Type.Union([Type.Number(), Type.Null()]),
  threshold: Type.Union([Type.Number(), Type.Null()]),
  createdAt: Time,
});
export type Alert = Static<typeof Alert>;

/** How a stream query is doing. */
export const StreamStatus = Type.Object({
  query: Type.String(),
  version: Type.Integer(),
  definition: Type.Optional(Type.String({ description: 'SHA-256 of the text of the file that this version follows' })),
  state: Type.Enum(['Running', 'Waiting', 'Failed']),
  sources: Type.Array(Type.String()),
  window: Type.Union([Type.String(), Type.Null()]),
  lag: Type.Integer({ description: 'events not yet counted' }),
  watermark: nullableTime,
  eventsPerSecond: Type.Number(),
  lateEvents: Type.Integer({ description: 'events that came after the grace of their window and were dropped' }),
  failedEvents: Type.Integer({ description: 'events that the query has no result for, such as a missing field' }),
  building: Type.Optional(
    Type.Object(
      {
        version: Type.Integer(),
        definition: Type.Optional(Type.String({ description: 'SHA-256 of the text of the file that it follows' })),
        progress: Type.Number({ description: 'percent of the events of its topics' }),
        eventsLeft: Type.Integer(),
      },
      { description: 'the version that takes the place of this one when it has caught up' },
    ),
  ),
  faults: Type.Optional(
    Type.Array(Type.String(), {
      description: 'mistakes in the file of the query, with their lines; what ran of it before goes on',
    }),
  ),
});
export type StreamStatus = Static<typeof StreamStatus>;

/** The event of a window that a query emits to its topic. */
export const MetricUpdated = Type.Object({
  query: Type.String(),
  version: Type.Integer(),
  key: Type.String(),
  windowStart: nullableTime,
  windowEnd: nullableTime,
  values: Type.Record(Type.String(), Type.Union([Type.Number(), Type.String(), Type.Null()])),
  estimates,
  closed: Type.Boolean(),
  updatedAt: Time,
  replaces: Type.Optional(
    Type.Array(Time, {
      description: 'of a session: the windowStart of sessions emitted before that are now part of this one',
    }),
  ),
});
export type MetricUpdated = Static<typeof MetricUpdated>;
