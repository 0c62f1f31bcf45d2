import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { Resource } from '#runtime/objects.ts';
import { ConsumerGroup, Name, immutable } from '#platform/declaration-schema';
import { Conditions, Count, ObservedGeneration, Time, Ttl } from './common.ts';
import type { KindDefinition } from './common.ts';

const fixed = immutable('a rebuild cannot change: make another one');

export const ProjectionRebuildSpec = Type.Object({
  service: Type.String({ ...Name('EventService whose read model is rebuilt'), ...fixed }),
  group: Type.String({ ...ConsumerGroup('Consumer group of the projection'), ...fixed }),
  timeoutSeconds: Type.Optional(
    Type.Integer({
      minimum: 1,
      description: 'Seconds after which the rebuild fails and the version in use stays; without it there is no limit',
      ...fixed,
    }),
  ),
  ttlSecondsAfterFinished: Type.Optional(Ttl),
});
export type ProjectionRebuildSpec = Static<typeof ProjectionRebuildSpec>;

export const ProjectionRebuildStatus = Type.Object({
  observedGeneration: Type.Optional(ObservedGeneration),
  conditions: Type.Optional(Conditions),
  version: Type.Optional(Type.Integer({ description: 'Version that the service builds' })),
  startTime: Type.Optional(Time('When the rebuild began')),
  completionTime: Type.Optional(Time('When the rebuild finished')),
  events: Type.Optional(Count('Events that the new version has handled')),
  lag: Type.Optional(Count('Events that the new version has not handled yet')),
  progress: Type.Optional(
    Type.String({ description: 'Share of the events that the new version has handled, such as 42%' }),
  ),
});
export type ProjectionRebuildStatus = Static<typeof ProjectionRebuildStatus>;
export type ProjectionRebuild = Resource<ProjectionRebuildSpec, ProjectionRebuildStatus>;

export const projectionRebuildDefinition: KindDefinition = {
  kind: 'ProjectionRebuild',
  plural: 'projectionrebuilds',
  shortNames: ['prb'],
  description: 'Builds a new version of a read model, which then replaces the one in use',
  spec: ProjectionRebuildSpec,
  status: ProjectionRebuildStatus,
  columns: [
    {
      name: 'Progress',
      type: 'string',
      jsonPath: '.status.progress',
      description: 'Share of the events that are handled',
    },
    { name: 'Lag', type: 'integer', jsonPath: '.status.lag', description: 'Events not yet handled' },
  ],
};
