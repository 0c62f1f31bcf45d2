import { Type } from 'typebox';
import type { Static } from 'typebox';
import { brokersPattern, durationPattern, saslMechanisms } from '#platform/declarations';
import {
  ConsumerGroup,
  Duration,
  Labels,
  Name,
  Passed,
  SecretRef,
  TopicName,
  immutable,
  keyedBy,
  rules,
  topicNameRule,
} from './fields.ts';

/** The names of new databases, with {name} and {namespace}, as a regular expression. */
export const databaseNamePattern = '^([a-z0-9_-]|\\{namespace\\})*\\{name\\}([a-z0-9_-]|\\{namespace\\})*$';

const Database = Type.Object({
  name: Name('Database; its role has the same name with _ for -, and the Secret <name>-database has its URL'),
  schema: Type.String({
    minLength: 1,
    maxLength: 200,
    description: 'Folder in the image with schema.prisma and the migrations',
    ...immutable('a database keeps its schema folder'),
  }),
});

const Produced = Type.Object(
  {
    topic: TopicName('Topic that the service publishes to; the operator creates it'),
    partitions: Type.Integer({ minimum: 1, maximum: 10_000, description: 'Partitions; they can only grow' }),
    retention: Type.Unsafe<number | string>({
      'x-kubernetes-int-or-string': true,
      description: 'How long events are kept: a whole number with ms, s, m, h or d; -1 keeps everything',
      pattern: durationPattern,
      maxLength: 20,
      minimum: -1,
      maximum: -1,
    }),
  },
  rules(topicNameRule('self.topic'), {
    rule: 'self.partitions >= oldSelf.partitions',
    message: 'partitions can only grow: otherwise keys would move',
  }),
);

const Consumed = Type.Object(
  {
    group: ConsumerGroup('Consumer group; its dead letters go to the topic <group>.dead-letters'),
    topics: Type.Array(TopicName('A topic'), {
      minItems: 1,
      maxItems: 50,
      description: 'Topics that the group reads',
      'x-kubernetes-list-type': 'set',
    }),
    database: Name('Database with the effects, the offsets and the dead letters of the group'),
  },
  rules({
    rule: 'self.database == oldSelf.database',
    message: 'the offsets of a group are in its database, which cannot change',
  }),
);

const Scaling = Type.Object(
  {
    minReplicas: Type.Integer({ minimum: 1, maximum: 1_000, description: 'Lowest number of pods' }),
    maxReplicas: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000,
        description:
          'Highest number of pods; more than the partitions of the largest topic would be idle, and are not created',
      }),
    ),
    lagPerReplica: Type.Integer({
      minimum: 1,
      description: 'Lag in events for which the operator adds a pod',
    }),
    stabilization: Duration('How long fewer pods must be enough before the operator removes some', { default: '5m' }),
  },
  {
    description: 'Scales the pods with the lag of the consumer groups; without it the operator does not scale',
    ...rules({
      rule: '!has(self.maxReplicas) || self.maxReplicas >= self.minReplicas',
      message: 'maxReplicas must be at least minReplicas',
    }),
  },
);

const ExternalKafka = Type.Object(
  {
    bootstrapServers: Type.String({
      pattern: brokersPattern,
      maxLength: 2_000,
      description: 'Brokers to connect to first: host:port, several separated by commas',
    }),
    sasl: Type.Optional(
      Type.Object(
        {
          mechanism: Type.Enum([...saslMechanisms], { description: 'How clients say who they are' }),
          secretRef: SecretRef(
            'Secret with username and password of a user who may create topics, and ACLs if there are to be some',
          ),
        },
        { description: 'User; without it, clients say nothing of themselves' },
      ),
    ),
    tls: Type.Optional(
      Type.Object(
        {
          caSecretRef: Type.Optional(
            SecretRef(
              'Secret with the certificates of those who may sign the certificates of the brokers, under the key ca.crt; default: those that Node knows',
            ),
          ),
        },
        { description: 'TLS; without it, connections are not encrypted' },
      ),
    ),
    acls: Type.Optional(
      Type.Boolean({
        description:
          'Whether the service has a user of its own, in the Secret <service>-kafka, whose ACLs the operator keeps; default: the user of the operator, and no ACLs',
      }),
    ),
  },
  rules(
    { rule: '!has(self.acls) || !self.acls || has(self.sasl)', message: 'acls need sasl: the brokers must know users' },
    {
      rule: "!has(self.sasl) || self.sasl.mechanism != 'PLAIN' || has(self.tls)",
      message: 'PLAIN needs tls: it would send the password as it is',
    },
  ),
);

const Kafka = Type.Object(
  {
    cluster: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 63,
        description: 'Name of the Kafka of Strimzi in the namespace',
        ...immutable('a service stays with its Kafka: its topics cannot move'),
      }),
    ),
    external: Type.Optional(
      Type.Unsafe<Static<typeof ExternalKafka>>({
        ...ExternalKafka,
        description: 'Kafka that is not of Strimzi: the operator creates topics, and ACLs, over its admin API',
      }),
    ),
    replicas: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 10,
        description:
          'Replicas of each partition; default: that of the brokers, and of an external Kafka as many as it has brokers, up to 3',
      }),
    ),
  },
  rules(
    { rule: 'has(self.cluster) != has(self.external)', message: 'kafka needs either cluster or external' },
    {
      rule: 'has(self.cluster) == has(oldSelf.cluster)',
      message: 'a service stays with its Kafka: its topics cannot move',
    },
  ),
);

/** Little, because a migration runs beside the pods of two releases. */
const migrationResources = { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '512Mi' } };

const ClassName = (description: string) => Type.String({ minLength: 1, maxLength: 253, description });

const Migration = Type.Object(
  {
    nodeSelector: Type.Optional(Labels('Labels of the nodes that its pods may run on')),
    tolerations: Type.Optional(
      Type.Array(Passed('A toleration'), { maxItems: 100, description: 'Taints that its pods tolerate' }),
    ),
    affinity: Type.Optional(Passed('Affinity of its pods')),
    priorityClassName: Type.Optional(ClassName('PriorityClass of its pods')),
    runtimeClassName: Type.Optional(ClassName('RuntimeClass of its pods')),
    schedulerName: Type.Optional(ClassName('Scheduler of its pods')),
    serviceAccountName: Type.Optional(ClassName('ServiceAccount of its pods, whose token they do not get')),
    hostAliases: Type.Optional(
      Type.Array(Passed('Host names of an address'), {
        maxItems: 100,
        description: 'Host names that its pods know without DNS',
      }),
    ),
    dnsPolicy: Type.Optional(ClassName('How its pods resolve names')),
    dnsConfig: Type.Optional(Passed('DNS servers, search domains and options of its pods')),
    podLabels: Type.Optional(Labels('Labels of its pods, besides those that NetworkPolicies select them by')),
    podAnnotations: Type.Optional(Labels('Annotations of its pods')),
    resources: Type.Unsafe<Record<string, unknown>>({
      ...Passed('CPU and memory of its container'),
      default: migrationResources,
    }),
  },
  {
    description:
      'Pods of the migrations. Where it changes, the operator makes a Job anew that has not begun or has failed',
    default: {},
  },
);

/** The declaration of a service; the CRD of the operator is made from it. */
export const EventServiceSpec = Type.Object(
  {
    port: Type.Integer({ minimum: 1, maximum: 65_535, description: 'Port of the service' }),
    databases: Type.Optional(
      Type.Array(Database, { maxItems: 10, description: 'Databases of the service', ...keyedBy('name') }),
    ),
    produces: Type.Optional(
      Type.Array(Produced, { maxItems: 50, description: 'Topics that the service publishes to', ...keyedBy('topic') }),
    ),
    consumes: Type.Optional(
      Type.Array(Consumed, {
        maxItems: 10,
        description: 'Topics that the service reads, by consumer group',
        ...keyedBy('group'),
      }),
    ),
    calls: Type.Optional(
      Type.Array(Name('A service'), {
        maxItems: 50,
        description: 'Services that the service calls over HTTP',
        'x-kubernetes-list-type': 'set',
      }),
    ),
    streamQueries: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Whether the service runs the StreamQueries of the namespace; only one service may',
      }),
    ),
    image: Type.Optional(
      Type.String({ minLength: 1, maxLength: 500, description: 'Image of the workload, which has the migrations' }),
    ),
    imagePullPolicy: Type.Optional(
      Type.Enum(['Always', 'IfNotPresent', 'Never'], { description: 'When the image is pulled' }),
    ),
    imagePullSecrets: Type.Optional(
      Type.Array(SecretRef('A Secret'), {
        maxItems: 10,
        description: 'Secrets to pull the image with',
        ...keyedBy('name'),
      }),
    ),
    podSecurityContext: Type.Optional(
      Passed('Security context of the pods of the migrations; default: a user that is not root'),
    ),
    containerSecurityContext: Type.Optional(
      Passed('Security context of the containers of the migrations; default: no rights'),
    ),
    migration: Type.Optional(Migration),
    workload: Type.Optional(
      Type.Object(
        { deployment: Name('Name of the Deployment; default: the name of the service') },
        { description: 'Workload that runs the service' },
      ),
    ),
    scaling: Type.Optional(Scaling),
    kafka: Type.Optional(
      Type.Unsafe<Static<typeof Kafka>>({
        ...Kafka,
        description: 'Kafka; required for a service that produces or consumes',
      }),
    ),
    postgresql: Type.Optional(
      Type.Object(
        {
          superuserSecretRef: Type.Optional(
            SecretRef('Secret with host, port, username and password of a role that may create roles and databases'),
          ),
          superuserSecret: Type.Optional(
            Type.String({
              minLength: 1,
              maxLength: 253,
              description: 'Deprecated, as v1alpha1 is: the name of superuserSecretRef, in charts of 0.1',
            }),
          ),
          newSuperuser: Type.Optional(
            Type.Object(
              {
                host: Type.String({ minLength: 1, maxLength: 253, description: 'Host of the server' }),
                port: Type.Integer({ minimum: 1, maximum: 65_535, description: 'Port of the server' }),
                username: Type.String({ minLength: 1, maxLength: 63, description: 'Superuser of the server' }),
              },
              {
                description:
                  'For a server that takes its superuser from the Secret: if the Secret is missing, the operator creates it, with a random password',
              },
            ),
          ),
          databaseName: Type.String({
            pattern: databaseNamePattern,
            maxLength: 100,
            default: '{name}',
            description:
              'Name of a new database and its role, with {namespace} and {name}. A server that several namespaces use needs {namespace}_{name}',
          }),
          tls: Type.Optional(
            Type.Object(
              {
                mode: Type.Enum(['require', 'verify-ca', 'verify-full'], {
                  description:
                    'Whether only to encrypt, or also to check who signed the certificate of the server, and its name',
                }),
                caSecretRef: Type.Optional(
                  SecretRef(
                    'Secret with the certificates of those who may sign it, under the key ca.crt; the pods mount it at /etc/postgresql-ca. Default: those that Node knows',
                  ),
                ),
                clientCertSecretRef: Type.Optional(
                  SecretRef(
                    'Secret of the type kubernetes.io/tls with the certificate, and the key, that clients show to a server that requires one; the pods mount it at /etc/postgresql-client',
                  ),
                ),
              },
              { description: 'TLS; without it, connections are not encrypted' },
            ),
          ),
        },
        {
          description: 'PostgreSQL; required for a service with databases',
          ...rules({
            rule: 'has(self.superuserSecretRef) != has(self.superuserSecret)',
            message: 'superuserSecretRef is required, and superuserSecret is its deprecated form: exactly one of them',
          }),
        },
      ),
    ),
    deletionPolicy: Type.Optional(
      Type.Enum(['Retain', 'Delete'], {
        default: 'Retain',
        description:
          'Whether topics and databases stay (Retain) or are deleted with the resource, which the operator must be allowed: `deletion.allowed` in its chart',
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
