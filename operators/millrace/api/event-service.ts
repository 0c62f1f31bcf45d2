import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { Resource } from '#runtime/objects.ts';
import { Conditions, Count, Duration, Name, ObservedGeneration, Topic, keyedBy, rules } from './common.ts';
import type { KindDefinition } from './common.ts';

const Database = Type.Object({
  name: Name('Name of the database, and with _ for - of the role that owns it. Secret <name>-database has its URL'),
  schema: Type.String({
    minLength: 1,
    maxLength: 200,
    description: 'Folder in the image that has schema.prisma and migrations',
    ...rules({ rule: 'self == oldSelf', message: 'a database keeps its schema folder' }),
  }),
});

const Produced = Type.Object(
  {
    topic: Topic('Topic that the service publishes to; it is created'),
    partitions: Type.Integer({ minimum: 1, maximum: 10_000, description: 'Partitions; they can only grow' }),
    retention: Type.Unsafe<number | string>({
      'x-kubernetes-int-or-string': true,
      description: 'How long events are kept: a whole number with ms, s, m, h or d; -1 keeps everything',
      pattern: '^[0-9]+(ms|s|m|h|d)$',
      minimum: -1,
    }),
  },
  rules({ rule: 'self.partitions >= oldSelf.partitions', message: 'partitions can only grow: keys would move' }),
);

const Consumed = Type.Object(
  {
    group: Type.String({
      pattern: '^[A-Za-z0-9._-]+$',
      minLength: 1,
      maxLength: 200,
      description: 'Consumer group; its dead letters go to the topic <group>.dead-letters',
    }),
    topics: Type.Array(Topic('A topic'), {
      minItems: 1,
      maxItems: 50,
      description: 'Topics that the group reads',
      'x-kubernetes-list-type': 'set',
    }),
    database: Name('Database that has the effects, the offsets and the dead letters'),
  },
  rules({ rule: 'self.database == oldSelf.database', message: 'the offsets of a group are in its database: it stays' }),
);

const Scaling = Type.Object(
  {
    minReplicas: Type.Integer({ minimum: 1, maximum: 1_000, description: 'Pods at least' }),
    maxReplicas: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000,
        description:
          'Pods at most; never more than the most partitions that a topic it reads has, as others would be idle',
      }),
    ),
    lagPerReplica: Type.Integer({
      minimum: 1,
      description: 'Events that a pod may be behind before there is another one',
    }),
    stabilization: Type.Optional(
      Duration('How long fewer pods must have been enough before there are fewer; default 5m'),
    ),
  },
  rules({
    rule: '!has(self.maxReplicas) || self.maxReplicas >= self.minReplicas',
    message: 'maxReplicas must be at least minReplicas',
  }),
);

export const EventServiceSpec = Type.Object(
  {
    port: Type.Integer({ minimum: 1, maximum: 65_535, description: 'Port of the service' }),
    databases: Type.Optional(
      Type.Array(Database, { maxItems: 10, description: 'Databases of its own', ...keyedBy('name') }),
    ),
    produces: Type.Optional(
      Type.Array(Produced, { maxItems: 50, description: 'Topics that it publishes to', ...keyedBy('topic') }),
    ),
    consumes: Type.Optional(
      Type.Array(Consumed, { maxItems: 10, description: 'What it reads, by consumer group', ...keyedBy('group') }),
    ),
    calls: Type.Optional(
      Type.Array(Name('A service'), {
        maxItems: 50,
        description: 'Services that it calls over HTTP',
        'x-kubernetes-list-type': 'set',
      }),
    ),
    streamQueries: Type.Optional(
      Type.Boolean({ description: 'Whether it runs the StreamQueries of its namespace; one service does' }),
    ),
    image: Type.Optional(
      Type.String({ minLength: 1, maxLength: 500, description: 'Image with the migrations, that of the workload' }),
    ),
    imagePullPolicy: Type.Optional(Type.Enum(['Always', 'IfNotPresent', 'Never'], { description: 'Of that image' })),
    imagePullSecrets: Type.Optional(
      Type.Array(Type.Object({ name: Type.String({ maxLength: 253 }) }), {
        maxItems: 10,
        description: 'Secrets to pull that image with',
        'x-kubernetes-list-type': 'atomic',
      }),
    ),
    workload: Type.Optional(
      Type.Object(
        { deployment: Name('Name of the Deployment; default: that of the service') },
        { description: 'What runs the service' },
      ),
    ),
    scaling: Type.Optional(
      Type.Unsafe<Static<typeof Scaling>>({
        ...Scaling,
        description: 'Pods by how far the consumer groups are behind; without it nobody changes their number',
      }),
    ),
    kafka: Type.Optional(
      Type.Object(
        {
          cluster: Type.String({
            minLength: 1,
            maxLength: 63,
            description: 'Name of the Strimzi Kafka in the namespace',
            ...rules({ rule: 'self == oldSelf', message: 'a service stays with its Kafka: topics do not move' }),
          }),
          replicas: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 10,
              description: "Copies of each partition; the brokers' default where left out",
            }),
          ),
        },
        { description: 'Kafka; needed where it produces or consumes' },
      ),
    ),
    postgresql: Type.Optional(
      Type.Object(
        {
          superuserSecret: Type.String({
            minLength: 1,
            maxLength: 253,
            description: 'Secret with host, port, username and password of a role that may create roles and databases',
          }),
        },
        { description: 'PostgreSQL; needed where it has databases' },
      ),
    ),
    deletionPolicy: Type.Optional(
      Type.Enum(['Retain', 'Delete'], {
        description: 'Whether topics and databases stay (default) or go when this resource is deleted',
      }),
    ),
  },
  rules(
    {
      rule: '!has(self.consumes) || self.consumes.all(c, has(self.databases) && self.databases.exists(d, d.name == c.database))',
      message: 'consumes names a database that the service does not have',
    },
    {
      rule: '!has(oldSelf.databases) || oldSelf.databases.all(d, has(self.databases) && self.databases.exists(n, n.name == d.name))',
      message: 'a database cannot be taken from a service: delete the EventService instead',
    },
  ),
);
export type EventServiceSpec = Static<typeof EventServiceSpec>;

export const EventServiceStatus = Type.Object({
  observedGeneration: Type.Optional(ObservedGeneration),
  conditions: Type.Optional(Conditions),
  databases: Type.Optional(
    Type.Array(
      Type.Object({
        name: Type.String(),
        schemaVersion: Type.Optional(Type.String({ description: 'The migration that was applied last' })),
      }),
      { description: 'Databases, and how far they are migrated', ...keyedBy('name') },
    ),
  ),
  consumers: Type.Optional(
    Type.Array(
      Type.Object({
        group: Type.String(),
        lag: Type.Optional(Count('Events that the group has not handled yet')),
        deadLetters: Type.Optional(Count('Messages that it has given up on and that were not replayed since')),
      }),
      { description: 'Consumer groups', ...keyedBy('group') },
    ),
  ),
  lag: Type.Optional(Count('The lag of all its groups')),
  deadLetters: Type.Optional(Count('The dead letters of all its groups')),
  schemaVersion: Type.Optional(Type.String({ description: 'The last migration of each database' })),
  migrated: Type.Optional(Type.String({ description: 'What was migrated last: a hash of image and databases' })),
  replicas: Type.Optional(Count('Pods that the operator wants; only with spec.scaling')),
});
export type EventServiceStatus = Static<typeof EventServiceStatus>;
export type EventService = Resource<EventServiceSpec, EventServiceStatus>;

export const eventServiceDefinition: KindDefinition = {
  kind: 'EventService',
  plural: 'eventservices',
  shortNames: ['evs'],
  description: 'What a service produces, consumes, calls and stores',
  spec: EventServiceSpec,
  status: EventServiceStatus,
  columns: [
    { name: 'Lag', type: 'integer', jsonPath: '.status.lag', description: 'Events not yet handled' },
    { name: 'Dead', type: 'integer', jsonPath: '.status.deadLetters', description: 'Messages given up on' },
    { name: 'Schema', type: 'string', jsonPath: '.status.schemaVersion', description: 'Migrations applied last' },
  ],
};
