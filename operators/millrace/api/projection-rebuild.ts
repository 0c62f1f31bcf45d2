import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { Resource } from '#runtime/objects.ts';
import { Conditions, Count, Name, ObservedGeneration, Time, Ttl, rules } from './common.ts';
import type { KindDefinition } from './common.ts';

const fixed = rules({
  rule: 'self == oldSelf',
  message: 'a rebuild does not change once it is there: make another one',
});

export const ProjectionRebuildSpec = Type.Object({
  service: Type.String({ ...Name('EventService whose read model is built anew'), ...fixed }),
  group: Type.String({
    pattern: '^[A-Za-z0-9._-]+$',
    minLength: 1,
    maxLength: 200,
    description: 'Consumer group of the projection',
    ...fixed,
  }),
  timeoutSeconds: Type.Optional(
    Type.Integer({
      minimum: 1,
      description: 'Seconds after which it is given up and the version in use stays; no limit where left out',
      ...fixed,
    }),
  ),
  ttlSecondsAfterFinished: Type.Optional(Ttl),
});
export type ProjectionRebuildSpec = Static<typeof ProjectionRebuildSpec>;

export const ProjectionRebuildStatus = Type.Object({
  observedGeneration: Type.Optional(ObservedGeneration),
  conditions: Type.Optional(Conditions),
  phase: Type.Optional(Type.String({ description: 'Requested, Building, Switched or Failed' })),
  version: Type.Optional(Type.Integer({ description: 'The version that is built' })),
  startTime: Type.Optional(Time('When it began')),
  completionTime: Type.Optional(Time('When it ended')),
  events: Type.Optional(Count('Events that the new version has')),
  lag: Type.Optional(Count('Events that it still has to read')),
  progress: Type.Optional(Type.String({ description: 'How much of the events it has, such as 42%' })),
});
export type ProjectionRebuildStatus = Static<typeof ProjectionRebuildStatus>;
export type ProjectionRebuild = Resource<ProjectionRebuildSpec, ProjectionRebuildStatus>;

export const projectionRebuildDefinition: KindDefinition = {
  kind: 'ProjectionRebuild',
  plural: 'projectionrebuilds',
  shortNames: ['prb'],
  description: 'A new version of a read model, built beside the one in use, which it replaces',
  spec: ProjectionRebuildSpec,
  status: ProjectionRebuildStatus,
  columns: [
    { name: 'Progress', type: 'string', jsonPath: '.status.progress', description: 'Events that it has' },
    { name: 'Lag', type: 'integer', jsonPath: '.status.lag', description: 'Events still to be read' },
  ],
};
