import { Type } from 'typebox';
import type { Static, TObject } from 'typebox';
import { defineContract } from './contract.ts';
import type { Contract } from './contract.ts';
import { Id, PathId } from './id.ts';
import { contentTag, Page, pageHeaders } from './operation.ts';
import type { Operation } from './operation.ts';
import { Text } from './text.ts';
import { QueryTime, Time } from './time.ts';

/** The role that the gateway asks for where authentication is on. */
const operatorRole = 'operator';

const only = (description: string) => Type.Optional(Text({ minLength: 1, maxLength: 500, description }));
const nullable = (schema: ReturnType<typeof Type.String>) => Type.Union([schema, Type.Null()]);

const DeadLetterState = Type.Enum(['OPEN', 'WAITING', 'REPLAYING', 'REPLAYED', 'DISCARDED'], {
  description:
    'OPEN: given up; WAITING: a later message of the key of an open one; REPLAYING: a replay is asked for; REPLAYED, DISCARDED: done',
});

const deadLetter = {
  id: Id,
  group: Type.String(),
  topic: Type.String(),
  partition: Type.Integer(),
  offset: Type.Integer({ 'x-format': 'int64' }),
  key: nullable(Type.String()),
  eventId: nullable(Type.String()),
  type: nullable(Type.String()),
  reason: Type.String(),
  errorCode: nullable(Type.String()),
  attempts: Type.Integer(),
  traceparent: nullable(Type.String()),
  createdAt: Time,
  state: DeadLetterState,
};

export const DeadLetter = Type.Object(deadLetter);
export type DeadLetter = Static<typeof DeadLetter>;

const Bytes = Type.Object({
  text: Type.String({ description: 'as UTF-8' }),
  base64: Type.String(),
});

export const DeadLetterDetail = Type.Object({
  ...deadLetter,
  timestamp: Time,
  replayError: Type.Union([Type.String(), Type.Null()], { description: 'why its last replay failed' }),
  replayedAt: Type.Union([Time, Type.Null()]),
  discardedAt: Type.Union([Time, Type.Null()]),
  isReference: Type.Boolean({ description: 'true: the message could not be kept, and is only in the log' }),
  keyBytes: Type.Union([Bytes, Type.Null()]),
  headers: Type.Array(Type.Object({ name: Bytes, value: Type.Union([Bytes, Type.Null()]) }), {
    description: 'in their order, with repetitions',
  }),
  value: Type.Union([Bytes, Type.Null()], { description: 'its first 262,144 bytes' }),
  valueBytes: Type.Integer({ description: 'the length of the whole value' }),
});
export type DeadLetterDetail = Static<typeof DeadLetterDetail>;

export const DeadLetterJob = Type.Object({
  id: Id,
  action: Type.Enum(['REPLAY', 'DISCARD']),
  count: Type.Integer({ description: 'the dead letters that it has selected' }),
  done: Type.Integer(),
  failed: Type.Integer({ description: 'those that failed again' }),
  remaining: Type.Integer(),
  state: Type.Enum(['RUNNING', 'DONE']),
  createdAt: Time,
});
export type DeadLetterJob = Static<typeof DeadLetterJob>;

export const PartitionOffset = Type.Object({
  group: Type.String(),
  topic: Type.String(),
  topicId: nullable(Type.String()),
  partition: Type.Integer(),
  storedOffset: Type.Integer({ 'x-format': 'int64', description: 'the next to be handled' }),
  endOffset: Type.Union([Type.Integer({ 'x-format': 'int64' }), Type.Null()], {
    description: 'the end of the log; null while Kafka does not answer',
  }),
  lag: Type.Union([Type.Integer(), Type.Null()]),
  oldestUnreadSeconds: Type.Union([Type.Number(), Type.Null()], {
    description: 'the age of the oldest event that is not handled, about; null where there is none, or it is not known',
  }),
});
export type PartitionOffset = Static<typeof PartitionOffset>;

const filter = {
  group: only('only of this consumer group'),
  topic: only('only of this topic'),
  key: only('only of this key'),
  reason: only('only those whose reason contains this text'),
  from: Type.Optional(QueryTime),
  to: Type.Optional(QueryTime),
};
const Filter = Type.Object({ ...filter, state: Type.Optional(DeadLetterState) });
export type DeadLetterFilter = Static<typeof Filter>;

const expected = Type.Integer({
  minimum: 0,
  maximum: 200_000,
  description: 'how many dead letters the filter selects; if there are more or fewer, nothing is done',
});
/** Without a state, the open ones. */
const selection = (...states: ('OPEN' | 'WAITING')[]) => ({
  query: Type.Object({ ...filter, state: Type.Optional(Type.Enum(states)) }),
  body: Type.Object({ ...filter, state: Type.Optional(Type.Enum(states)), expected }, { additionalProperties: false }),
});

const one = { params: Type.Object({ id: PathId }) };
const accepted = {
  202: {
    description: 'The job',
    schema: DeadLetterJob,
    headers: { Location: 'where to ask for the progress of the job' },
  },
};
const none = { 404: 'There is no such dead letter' };
const notOpen = { 409: 'The dead letter is not in a state for this' };
const otherCount = { 409: 'The filter selects another number of dead letters than expected' };

/** The operations of every service that consumes events. */
export const consumerOperations = defineContract('consumer', {
  schemas: { DeadLetter, DeadLetterDetail, DeadLetterJob, PartitionOffset },
  operations: {
    listDeadLetters: {
      method: 'get',
      path: '/dead-letters',
      summary: 'List dead letters',
      query: Type.Object({ ...Filter.properties, ...Page }),
      responses: {
        200: { description: 'Dead letters, newest first', schema: Type.Array(DeadLetter), headers: pageHeaders },
      },
    },
    getDeadLetter: {
      method: 'get',
      path: '/dead-letters/{id}',
      summary: 'Get a dead letter with its message',
      ...one,
      responses: { 200: { description: 'The dead letter', schema: DeadLetterDetail, headers: contentTag } },
      problems: none,
    },
    getDeadLetterJob: {
      method: 'get',
      path: '/dead-letters/jobs/{id}',
      summary: 'Get the progress of a replay or a discard',
      ...one,
      responses: { 200: { description: 'The job', schema: DeadLetterJob, headers: contentTag } },
      problems: { 404: 'There is no such job' },
    },
    replayDeadLetter: {
      method: 'post',
      path: '/dead-letters/{id}/replay',
      summary: 'Handle a dead letter again, and then those that wait behind it',
      ...one,
      responses: accepted,
      problems: { ...none, ...notOpen },
    },
    discardDeadLetter: {
      method: 'post',
      path: '/dead-letters/{id}/discard',
      summary: 'Give up a dead letter for good, and handle those that wait behind it',
      ...one,
      responses: accepted,
      problems: { ...none, ...notOpen },
    },
    replayDeadLetters: {
      method: 'post',
      path: '/dead-letters/replay',
      summary: 'Handle dead letters again, and then those that wait behind them',
      ...selection('OPEN'),
      responses: accepted,
      problems: otherCount,
    },
    discardDeadLetters: {
      method: 'post',
      path: '/dead-letters/discard',
      summary: 'Give up dead letters for good, and handle those that wait behind them',
      ...selection('OPEN', 'WAITING'),
      responses: accepted,
      problems: otherCount,
    },
    listOffsets: {
      method: 'get',
      path: '/offsets',
      summary: 'List how far the consumer group of the service has read',
      responses: { 200: { description: 'Each partition', schema: Type.Array(PartitionOffset) } },
    },
  },
});

const prefix = (service: string) => `/ops/${service}`;

/** The operations of consumers at the gateway: each service has them below a path of its own. */
export function opsContracts(services: readonly string[]): Contract[] {
  return services.map((service) => ({
    ...consumerOperations,
    name: service,
    prefixes: [`/api${prefix(service)}`],
    role: operatorRole,
    operations: Object.fromEntries(
      Object.entries(consumerOperations.operations).map(([id, operation]) => [id, { ...operation, service }]),
    ),
  }));
}

/** The same for the document of the gateway: once, with the service as a parameter. */
export function opsDocument(services: readonly string[]): Contract {
  const params = { service: Type.Enum([...services]) };
  const documented = (operation: Operation): Operation => ({
    ...operation,
    service: 'ops',
    path: prefix('{service}') + operation.path,
    params: Type.Object({ ...params, ...(operation.params as TObject | undefined)?.properties }),
    problems: { ...operation.problems, 403: `Without the role ${operatorRole}, where authentication is on` },
  });
  return {
    ...consumerOperations,
    name: 'ops',
    operations: Object.fromEntries(
      Object.entries(consumerOperations.operations).map(([id, operation]) => [id, documented(operation)]),
    ),
  };
}
