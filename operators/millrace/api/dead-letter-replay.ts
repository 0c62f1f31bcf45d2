import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { Resource } from '#runtime/objects.ts';
import { Conditions, Count, ObservedGeneration, Time, Topic, Ttl, rules } from './common.ts';
import type { KindDefinition } from './common.ts';

const Selection = Type.Object(
  {
    ids: Type.Optional(
      Type.Array(Type.Integer({ minimum: 1 }), {
        minItems: 1,
        maxItems: 1_000,
        description: 'Ids of the rows in the table millrace.dead_letters',
        'x-kubernetes-list-type': 'set',
      }),
    ),
    topic: Type.Optional(Topic('Only those of this topic')),
    reason: Type.Optional(
      Type.String({ minLength: 1, maxLength: 500, description: 'Only those whose reason contains this text' }),
    ),
    before: Type.Optional(Time('Only those that were given up on before')),
    after: Type.Optional(Time('Only those that were given up on at that time or later')),
  },
  { description: 'Which dead letters; all of the group where left out. What is said must all hold' },
);

export const DeadLetterReplaySpec = Type.Object({
  group: Type.String({
    pattern: '^[A-Za-z0-9._-]+$',
    minLength: 1,
    maxLength: 200,
    description: 'Consumer group; an EventService of the namespace consumes with it',
    ...rules({ rule: 'self == oldSelf', message: 'a replay does not change once it is there: make another one' }),
  }),
  select: Type.Optional(
    Type.Unsafe<Static<typeof Selection>>({
      ...Selection,
      ...rules({ rule: 'self == oldSelf', message: 'a replay does not change once it is there: make another one' }),
    }),
  ),
  maxMessages: Type.Integer({
    minimum: 1,
    maximum: 100_000,
    description: 'Where more are selected, none is replayed: the guard against a selection that is wider than meant',
    ...rules({ rule: 'self == oldSelf', message: 'a replay does not change once it is there: make another one' }),
  }),
  retryFailed: Type.Optional(
    Type.Boolean({
      description: 'Whether those that failed in an earlier replay are tried again; default false',
      ...rules({ rule: 'self == oldSelf', message: 'a replay does not change once it is there: make another one' }),
    }),
  ),
  ttlSecondsAfterFinished: Type.Optional(Ttl),
});
export type DeadLetterReplaySpec = Static<typeof DeadLetterReplaySpec>;

const Outcome = Type.Object({
  id: Type.Integer({ description: 'Of the row in the table millrace.dead_letters' }),
  message: Type.String({ description: 'Where it comes from: topic/partition/offset' }),
  outcome: Type.Enum(['Replayed', 'Failed'], { description: 'What became of it' }),
  error: Type.Optional(Type.String({ description: 'Why it failed' })),
});

export const DeadLetterReplayStatus = Type.Object({
  observedGeneration: Type.Optional(ObservedGeneration),
  conditions: Type.Optional(Conditions),
  requestedAt: Type.Optional(Time('The mark of its rows in the table: their replay_requested_at')),
  startTime: Type.Optional(Time('When it began')),
  completionTime: Type.Optional(Time('When it ended')),
  selected: Type.Optional(Count('Messages that it is to replay')),
  replayed: Type.Optional(Count('Messages that were handled now')),
  failed: Type.Optional(Count('Messages that failed again')),
  progress: Type.Optional(Type.String({ description: 'Done of selected, such as 12/30' })),
  outcomes: Type.Optional(
    Type.Array(Outcome, {
      maxItems: 100,
      description: 'What became of each message: those that failed first, 100 at most',
      'x-kubernetes-list-type': 'atomic',
    }),
  ),
});
export type DeadLetterReplayStatus = Static<typeof DeadLetterReplayStatus>;
export type DeadLetterReplay = Resource<DeadLetterReplaySpec, DeadLetterReplayStatus>;

export const deadLetterReplayDefinition: KindDefinition = {
  kind: 'DeadLetterReplay',
  plural: 'deadletterreplays',
  shortNames: ['dlr'],
  description: 'Dead letters to be handled again by their group, once',
  spec: DeadLetterReplaySpec,
  status: DeadLetterReplayStatus,
  columns: [
    { name: 'Progress', type: 'string', jsonPath: '.status.progress', description: 'Done of selected' },
    { name: 'Failed', type: 'integer', jsonPath: '.status.failed', description: 'Failed again' },
  ],
};
