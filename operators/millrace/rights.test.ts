import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';
import pino from 'pino';
import { parse } from 'yaml';

import { LeaderElection } from '#runtime/lease.ts';
import type { KubeObject, ResourceType } from '#runtime/objects.ts';
import { databaseNameOf, dropDatabaseAndRole, withClient } from '#platform/postgres';
import { eventually } from '#test/eventually.ts';
import { testServers } from '#test/servers.ts';
import { apiVersion } from './api/common.ts';
import {
  deadLetterReplays,
  deployments,
  eventServices,
  jobs,
  kafkaTopics,
  namespaces,
  projectionRebuilds,
  secrets,
  streamQueries,
} from './api/kinds.ts';
import { ConsumerLagReader } from './consumer-lag.ts';
import { DatabasePools, dataOf, valuesOf } from './database-pools.ts';
import type { Secret } from './database-pools.ts';
import { deadLetterReplayController } from './dead-letter-replay/controller.ts';
import { DatabaseProvisioner } from './event-service/databases.ts';
import { projectionRebuildController } from './projection-rebuild/controller.ts';
import { StreamQueryControllers } from './stream-query/controllers.ts';
import { eventServiceWorld } from './testing/event-services.ts';
import type { EventServiceWorld } from './testing/event-services.ts';
import { namespace, ownNamespace } from './testing/world.ts';

const { postgres: admin } = testServers();
const rbac = new URL('../../charts/millrace-operator/files/rbac.yaml', import.meta.url);
const releaseName = 'millrace-operator';
const log = pino({ enabled: false });

interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
  resourceNames?: string[];
}

/** As the chart has them: `rules` in the namespaces that the operator watches, `ownNamespaceRules` in its own. */
const rights = parse(readFileSync(rbac, 'utf8').replaceAll('{{ .Release.Name }}', releaseName)) as Record<
  'rules' | 'deletionRules' | 'ownNamespaceRules',
  Rule[]
>;

type Request = EventServiceWorld['server']['requests'][number];

/** The rights that a request needs, each as a verb, the group, the resource, a name, and the namespace that it is about. */
function needsOf({ verb, path, fieldSelector, created }: Request) {
  const parts = path.split('/').slice(1);
  const group = parts[0] === 'api' ? '' : parts[1]!;
  const rest = parts.slice(parts[0] === 'api' ? 2 : 3);
  // /namespaces/NAME is an object, /namespaces/NAME/RESOURCE is one in it; a Role of NAME grants both
  const [plural, name, subresource] = rest[0] === 'namespaces' && rest.length > 2 ? rest.slice(2) : rest;
  const at = rest[0] === 'namespaces' ? rest[1] : undefined;
  const resource = subresource === undefined ? plural! : `${plural}/${subresource}`;
  const named = name ?? /^metadata\.name=(.*)$/.exec(fieldSelector ?? '')?.[1];
  return [verb, ...(created ? ['create'] : [])].map((needed) => ({ verb: needed, group, resource, name: named, at }));
}

/** The requests of an operator that does everything that it ever does. @param mayDelete as its chart has it in `deletion.allowed` */
async function requestsOf(mayDelete: boolean): Promise<Request[]> {
  const database = `rights-${randomBytes(4).toString('hex')}`;
  let pools: DatabasePools;
  const world = await eventServiceWorld(({ context }) => {
    pools = new DatabasePools(context.api, log);
    const reader = new ConsumerLagReader(context, log);
    const lagReader = {
      read: async (...asked: Parameters<ConsumerLagReader['read']>) => {
        await reader.read(...asked);
        return { lag: 100, partitions: new Map([['order-events', 6]]) };
      },
    };
    return { pools, lagReader, provisioner: new DatabaseProvisioner(context.api, context.clock), mayDelete };
  });
  try {
    await doEverything(world, pools!, database, mayDelete);
    return world.server.requests;
  } finally {
    await world.stop();
    await pools!.close();
    await withClient(admin, (client) => dropDatabaseAndRole(client, databaseNameOf(database)));
  }
}

async function doEverything(
  world: EventServiceWorld,
  pools: DatabasePools,
  database: string,
  mayDelete: boolean,
): Promise<void> {
  const { server, context, metrics, declare } = world;
  const create = (type: ResourceType, name: string, rest: object) =>
    server.create(type, { apiVersion, kind: type.kind, metadata: { namespace, name }, ...rest } as KubeObject);
  const { hostname: host, port, username, password } = new URL(admin);
  const superuser = { host, port, username, password: decodeURIComponent(password) };
  create(secrets, 'superuser', { data: dataOf(superuser) });
  create(deployments, 'orders', { spec: { replicas: 1 } });
  const queries = new StreamQueryControllers(context, () => Promise.resolve([]), metrics, world);
  await world.start(
    ...queries.controllers,
    deadLetterReplayController(context, pools, metrics),
    projectionRebuildController(context, pools, metrics),
  );
  declare('orders', {
    image: 'shop:1',
    databases: [{ name: database, schema: 'prisma/orders' }],
    postgresql: { superuserSecretRef: { name: 'superuser' }, databaseName: '{name}' },
    kafka: { cluster: 'millrace' },
    produces: [{ topic: 'order-events', partitions: 6, retention: -1 }],
    consumes: [{ group: 'g', topics: ['order-events'], database }],
    scaling: { minReplicas: 2, lagPerReplica: 50, stabilization: '5m' },
    deletionPolicy: 'Delete',
    streamQueries: true,
  });
  const elsewhere = `rights-${randomBytes(4).toString('hex')}`;
  declare('outside', {
    kafka: { external: { bootstrapServers: testServers().brokers } },
    produces: [{ topic: elsewhere, partitions: 1, retention: -1 }],
    deletionPolicy: 'Delete',
  });
  await eventually(() => world.condition('outside', 'TopicsReady')?.status === 'True', 'its topic is made');
  server.delete(eventServices, namespace, 'outside');
  await eventually(() => !world.service('outside'), 'its topic is deleted');

  const spec = { from: [{ topic: 'order-events' }], window: { tumbling: '1h' }, emit: { to: 'mine' } };
  create(streamQueries, 'by-hour', { spec: { ...spec, select: [{ name: 'orders', count: true }] } });
  for (const [type, of] of [
    [projectionRebuilds, { service: 'orders', group: 'g' }],
    [deadLetterReplays, { group: 'none', maxMessages: 1 }],
  ] as const) {
    create(type, 'waits', { spec: of });
    const conditions = [{ type: 'Complete', status: 'True' }];
    const status = { completionTime: '2026-01-01T00:00:00Z', conditions };
    create(type, 'done', { spec: { ...of, ttlSecondsAfterFinished: 0 }, status });
  }

  const secret = () => server.find<Secret>(secrets, namespace, `${database}-database`);
  const job = () => server.all(jobs).find(({ metadata }) => metadata.name.startsWith('orders-migrate-'));
  const { metadata } = await eventually(job, 'there is a Job');
  const withDatabase = (sql: string) => withClient(valuesOf(secret()!)['url']!, (client) => client.query(sql));
  await withDatabase(`CREATE SCHEMA millrace; CREATE TABLE millrace.dead_letters (consumer_group text, replayed_at date, discarded_at date);
    CREATE TABLE millrace.inbox_offsets (consumer_group text, topic text, partition int, next_offset bigint)`);
  server.patch(
    jobs,
    namespace,
    metadata.name,
    { status: { conditions: [{ type: 'Complete', status: 'True' }] } },
    'status',
  );
  await eventually(() => world.condition('orders', 'Migrated')?.status === 'True', 'the migrations are applied');
  await withDatabase(`CREATE TABLE millrace.migrations AS SELECT 'another' AS name`);
  world.controller.enqueue(`${namespace}/orders`);
  await eventually(() => job() && job()!.metadata.uid !== metadata.uid, 'they are applied again');

  server.patch(secrets, namespace, `${database}-database`, { data: { port: Buffer.from('1').toString('base64') } });
  world.controller.enqueue(`${namespace}/orders`);
  await eventually(() => valuesOf(secret()!)['port'] === port, 'its Secret is corrected');
  await eventually(
    () =>
      server.find<KubeObject & { spec: { replicas: number } }>(deployments, namespace, 'orders')!.spec.replicas === 2,
    'it is scaled',
  );
  for (const type of [projectionRebuilds, deadLetterReplays])
    await eventually(() => !server.find(type, namespace, 'done'), 'what has finished is deleted');
  const told = { type: 'Normal', reason: 'Told', action: 'Tell', note: 'twice' } as const;
  for (let i = 0; i < 2; i += 1) context.events.record(world.service('orders')!, told);

  // one that was declared while deletions were allowed still has its finalizer
  if (!mayDelete)
    server.patch(eventServices, namespace, 'orders', { metadata: { finalizers: ['millrace.dev/delete-data'] } });
  server.delete(eventServices, namespace, 'orders');
  await eventually(() => !world.service('orders'), 'it is gone');
  const data = [secret(), server.find(kafkaTopics, namespace, 'order-events')];
  assert.deepEqual(
    data.map((one) => one === undefined),
    [mayDelete, mayDelete],
    'its data is deleted, where that is allowed',
  );
  await isToldOfANamespaceThatGoes(world);
  await world.events();

  const settings = {
    namespace: ownNamespace,
    name: releaseName,
    identity: 'one',
    leaseDurationMs: 2_000,
    renewDeadlineMs: 1_500,
  };
  const started = Promise.withResolvers<void>();
  const election = new LeaderElection({
    ...settings,
    ...context,
    retryPeriodMs: 10,
    onStartedLeading: started.resolve,
    onStoppedLeading: () => undefined,
  });
  election.start();
  await started.promise;
  await election.stop();
}

/** Deletes the namespace with a service whose rights in Kafka cannot be taken: that is told twice, as the first attempt to let it go fails. */
async function isToldOfANamespaceThatGoes({ server, declare, service }: EventServiceWorld): Promise<void> {
  const sasl = { mechanism: 'SCRAM-SHA-512', secretRef: { name: 'missing' } } as const;
  declare('left', {
    kafka: { external: { bootstrapServers: '127.0.0.1:1', sasl, acls: true } },
    produces: [{ topic: 'left', partitions: 1, retention: -1 }],
  });
  await eventually(() => service('left')?.metadata.finalizers, 'it has its finalizer');
  server.patch(namespaces, undefined, namespace, { metadata: { finalizers: ['kubernetes'] } });
  server.delete(namespaces, undefined, namespace);
  server.fail(409, 1, ({ verb, path }) => verb === 'patch' && path.endsWith('/eventservices/left'));
  server.delete(eventServices, namespace, 'left');
  await eventually(() => !service('left'), 'it is gone');
}

for (const mayDelete of [true, false])
  it(`the rights in a namespace, and in its own, are those that the operator needs, and no others: deletion.allowed=${mayDelete}`, async () => {
    const granted = [
      ...[...rights.rules, ...(mayDelete ? rights.deletionRules : [])].map((rule) => ({ rule, in: namespace })),
      ...rights.ownNamespaceRules.map((rule) => ({ rule, in: ownNamespace })),
    ];
    const used = new Set<string>();
    const refused = new Set<string>();
    for (const { verb, group, resource, name, at } of (await requestsOf(mayDelete)).flatMap(needsOf)) {
      const granting = granted.filter(
        ({ rule: { apiGroups, resources, verbs, resourceNames }, in: where }) =>
          at === where &&
          apiGroups.includes(group) &&
          resources.includes(resource) &&
          verbs.includes(verb) &&
          (!resourceNames || (name !== undefined && resourceNames.includes(name))),
      );
      if (granting.length === 0) refused.add(`${verb} ${resource} ${name ?? ''} in ${at}`);
      for (const one of granting) used.add(`${granted.indexOf(one)} ${verb} ${resource}`);
    }
    assert.deepEqual([...refused], [], 'it may do what it does');
    const all = granted.flatMap(({ rule: { verbs, resources } }, index) =>
      resources.flatMap((resource) => verbs.map((verb) => `${index} ${verb} ${resource}`)),
    );
    const unused = all.filter((right) => !used.has(right)).map((right) => right.replace(/^\d+ /, ''));
    // no request needs this one: the API server asks for it where an object gets an owner
    assert.deepEqual(unused, ['update eventservices/finalizers']);
  });
