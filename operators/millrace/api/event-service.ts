import { Type } from 'typebox';
import type { Static } from 'typebox';
import { keyedBy, labelNameRule, EventServiceSpec } from '#platform/declaration-schema';
import type { Resource } from '#runtime/objects.ts';
import { Conditions, Count, ObservedGeneration } from './common.ts';
import type { KindDefinition } from './common.ts';

export const EventServiceStatus = Type.Object({
  observedGeneration: Type.Optional(ObservedGeneration),
  conditions: Type.Optional(Conditions),
  databases: Type.Optional(
    Type.Array(
      Type.Object({
        name: Type.String(),
        schemaVersion: Type.Optional(Type.String({ description: 'The migration that was applied last' })),
      }),
      { maxItems: 10, description: 'Databases and their last migrations', ...keyedBy('name') },
    ),
  ),
  consumers: Type.Optional(
    Type.Array(
      Type.Object({
        group: Type.String(),
        lag: Type.Optional(Count('Events that the group has not handled yet')),
        deadLetters: Type.Optional(Count('Messages of the group that are dead letters and were not replayed')),
      }),
      { maxItems: 10, description: 'Consumer groups', ...keyedBy('group') },
    ),
  ),
  lag: Type.Optional(Count('Lag of all groups')),
  deadLetters: Type.Optional(Count('Dead letters of all groups')),
  schemaVersion: Type.Optional(Type.String({ description: 'The last migration of each database' })),
  migrated: Type.Optional(Type.String({ description: 'Last migration, as a hash of image and databases' })),
  migrations: Type.Optional(
    Type.String({ description: 'Migrations that the databases had after it, as a hash; others are missing ones' }),
  ),
  imageIds: Type.Optional(
    Type.Array(Type.String(), {
      maxItems: 20,
      description: 'Images that nodes have taken spec.image for, and whose migrations are applied',
      'x-kubernetes-list-type': 'set',
    }),
  ),
  replicas: Type.Optional(Count('Pods that the operator wants; only with spec.scaling')),
  kafkaUsers: Type.Optional(
    Type.Array(Type.String(), {
      maxItems: 100,
      description: 'Users in external Kafkas who were given ACLs of the service',
      'x-kubernetes-list-type': 'set',
    }),
  ),
});
export type EventServiceStatus = Static<typeof EventServiceStatus>;
export type EventService = Resource<EventServiceSpec, EventServiceStatus>;

export const eventServiceDefinition: KindDefinition = {
  kind: 'EventService',
  plural: 'eventservices',
  shortNames: ['evs'],
  description: 'What a service produces, consumes, calls and stores',
  rules: [labelNameRule],
  spec: EventServiceSpec,
  status: EventServiceStatus,
  columns: [
    { name: 'Lag', type: 'integer', jsonPath: '.status.lag', description: 'Events not yet handled' },
    { name: 'Dead', type: 'integer', jsonPath: '.status.deadLetters', description: 'Dead letters' },
    { name: 'Schema', type: 'string', jsonPath: '.status.schemaVersion', description: 'Migrations applied last' },
  ],
};
