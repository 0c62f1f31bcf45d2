import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { Resource } from '#runtime/objects.ts';
import { ConsumerGroup, TopicName, immutable } from '#platform/declaration-schema';
import { Conditions, Count, ObservedGeneration, Time, Ttl } from './common.ts';
import type { KindDefinition } from './common.ts';

const fixed = immutable('a replay cannot change: make another one');

const Selection = Type.Object(
  {
    ids: Type.Optional(
      Type.Array(Type.Integer({ minimum: 1 }), {
        minItems: 1,
        maxItems: 1_000,
        description: 'Only the rows of the table millrace.dead_letters with these ids',
        'x-kubernetes-list-type': 'set',
      }),
    ),
    topic: Type.Optional(TopicName('Only messages of this topic')),
    reason: Type.Optional(
      Type.String({ minLength: 1, maxLength: 500, description: 'Only messages whose reason contains this text' }),
    ),
    before: Type.Optional(Time('Only messages that became dead letters before this time')),
    after: Type.Optional(Time('Only messages that became dead letters at this time or later')),
  },
  { description: 'Which dead letters of the group: those for which every field holds; without it all of them' },
);

export const DeadLetterReplaySpec = Type.Object({
  group: Type.String({
    ...ConsumerGroup('Consumer group of an EventService in the namespace'),
    ...fixed,
  }),
  select: Type.Optional(
    Type.Unsafe<Static<typeof Selection>>({
      ...Selection,
      ...fixed,
    }),
  ),
  maxMessages: Type.Integer({
    minimum: 1,
    maximum: 100_000,
    description: 'If the selection has more messages, none is replayed: a guard against a selection that is too wide',
    ...fixed,
  }),
  retryFailed: Type.Optional(
    Type.Boolean({
      default: false,
      description: 'Whether the selection includes messages that failed in an earlier replay',
      ...fixed,
    }),
  ),
  ttlSecondsAfterFinished: Type.Optional(Ttl),
});
export type DeadLetterReplaySpec = Static<typeof DeadLetterReplaySpec>;

const MessageOutcome = Type.Object({
  id: Type.Integer({ description: 'Id of the row in the table millrace.dead_letters' }),
  message: Type.String({ description: 'Where the message comes from: topic/partition/offset' }),
  outcome: Type.Enum(['Replayed', 'Failed'], { description: 'How the replay of the message ended' }),
  error: Type.Optional(Type.String({ description: 'Why the message failed' })),
});

export const DeadLetterReplayStatus = Type.Object({
  observedGeneration: Type.Optional(ObservedGeneration),
  conditions: Type.Optional(Conditions),
  requestedAt: Type.Optional(Time('Marks the rows of the replay in the table: their replay_requested_at')),
  startTime: Type.Optional(Time('When the replay began')),
  completionTime: Type.Optional(Time('When the replay finished')),
  selected: Type.Optional(Count('Messages in the selection')),
  replayed: Type.Optional(Count('Messages that the group has handled')),
  failed: Type.Optional(Count('Messages that failed again')),
  progress: Type.Optional(Type.String({ description: 'Messages done and selected, such as 12/30' })),
  outcomes: Type.Optional(
    Type.Array(MessageOutcome, {
      maxItems: 100,
      description: 'The outcome of each message; failed messages come first, 100 at most',
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
  description: 'Dead letters that their consumer group handles again, once',
  spec: DeadLetterReplaySpec,
  status: DeadLetterReplayStatus,
  columns: [
    { name: 'Progress', type: 'string', jsonPath: '.status.progress', description: 'Messages done and selected' },
    { name: 'Failed', type: 'integer', jsonPath: '.status.failed', description: 'Messages that failed again' },
  ],
};
