import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { conditionOf } from '#runtime/conditions.ts';
import { eventType } from '#runtime/events.ts';
import type { KubeObject, Resource, ResourceType } from '#runtime/objects.ts';
import { ManualClock } from '#runtime/testing/manual-clock.ts';
import { testServers } from '#test/servers.ts';
import { apiVersion } from './api/common.ts';
import {
  configMaps,
  deadLetterReplays,
  eventServices,
  kafkaTopics,
  namespaces,
  projectionRebuilds,
  secrets,
} from './api/kinds.ts';
import type { StatusWithConditions } from './report.ts';
import { dataOf } from './database-pools.ts';
import type { DatabasePools } from './database-pools.ts';
import { deadLetterReplayController } from './dead-letter-replay/controller.ts';
import { projectionRebuildController } from './projection-rebuild/controller.ts';
import { eventServiceWorld } from './testing/event-services.ts';
import type { EventServiceWorld } from './testing/event-services.ts';
import { kstatusOf } from './testing/kstatus.ts';
import { namespace, ownNamespace } from './testing/world.ts';

const minuteMs = 60_000;
const unreachable = new Error('connect ECONNREFUSED');

describe('a deletion', () => {
  /** @param work is done with servers that are out of reach once `isLost` is set */
  const withWorld = async (
    work: (world: EventServiceWorld, clock: ManualClock, servers: { isLost: boolean; drops: number }) => Promise<void>,
    mayDelete = true,
  ) => {
    const clock = new ManualClock(Date.now());
    const servers = { isLost: false, drops: 0 };
    const provisioner = {
      provision: () => Promise.resolve({ type: 'DatabasesReady', status: 'True', reason: 'Created', message: '' }),
      forget: () => undefined,
      drop: () => {
        servers.drops += 1;
        return servers.isLost ? Promise.reject(unreachable) : Promise.resolve();
      },
    };
    const world = await eventServiceWorld(() => ({ provisioner, mayDelete }), clock);
    const query = () => (servers.isLost ? Promise.reject(unreachable) : Promise.resolve({ rows: [{ found: true }] }));
    const pools = { get: () => Promise.resolve({ query }) } as unknown as DatabasePools;
    const { context, metrics } = world;
    await world.start(
      deadLetterReplayController(context, pools, metrics),
      projectionRebuildController(context, pools, metrics),
    );
    try {
      await work(world, clock, servers);
    } finally {
      await world.stop();
    }
  };
  /** Lets a little time pass until it is so: a stale cache is tried again. */
  const until = (clock: ManualClock, check: () => unknown, what: string) => clock.until(check, what, 250);
  const found = ({ server }: EventServiceWorld, type: ResourceType, name: string) =>
    server.find<Resource<unknown, StatusWithConditions>>(type, namespace, name);
  const hasFinalizer = (world: EventServiceWorld, type: ResourceType, name: string) =>
    (found(world, type, name)?.metadata.finalizers ?? []).length > 0;
  const withData: Parameters<EventServiceWorld['declare']>[1] = {
    deletionPolicy: 'Delete',
    kafka: { cluster: 'millrace' },
    produces: [{ topic: 'order-events', partitions: 1, retention: -1 }],
    databases: [{ name: 'orders', schema: 'prisma/orders' }],
    postgresql: { superuserSecretRef: { name: 'superuser' }, databaseName: '{name}' },
  };
  /** An EventService whose data goes with it. */
  const declare = async (world: EventServiceWorld, clock: ManualClock) => {
    world.declare('orders', withData);
    await until(clock, () => hasFinalizer(world, eventServices, 'orders'), 'it has its finalizer');
    await until(clock, () => world.server.find(kafkaTopics, namespace, 'order-events'), 'it has its topic');
  };
  /** Deletes the EventService while what it leaves to clean up is out of reach. */
  const deleteOutOfReach = async (world: EventServiceWorld, clock: ManualClock, servers: { isLost: boolean }) => {
    await declare(world, clock);
    servers.isLost = true;
    world.server.delete(eventServices, namespace, 'orders');
    await until(clock, () => waits(world, eventServices, 'orders'), 'it says that it waits');
  };
  const waits = (world: EventServiceWorld, type: ResourceType, name: string) =>
    conditionOf(found(world, type, name)?.status?.conditions, 'Ready')?.reason === 'DeletionWaits';
  const left = 'the database orders (connect ECONNREFUSED)';

  it('waits for what is out of reach, for a bounded time, and says then what it leaves', () =>
    withWorld(async (world, clock, servers) => {
      await deleteOutOfReach(world, clock, servers);
      assert.equal(world.server.find(kafkaTopics, namespace, 'order-events'), undefined, 'the rest is deleted');
      const { drops } = servers;
      await clock.advance(9 * minuteMs);
      await until(clock, () => servers.drops > drops, 'it tries again');
      assert.ok(found(world, eventServices, 'orders'), 'it still waits');
      await clock.advance(2 * minuteMs);
      await until(clock, () => !found(world, eventServices, 'orders'), 'it is gone');
      assert.ok((await world.events()).includes(`Warning LeftBehind: left behind: ${left}`));
    }));

  it('goes on when what was out of reach is there again', () =>
    withWorld(async (world, clock, servers) => {
      await deleteOutOfReach(world, clock, servers);
      servers.isLost = false;
      await clock.advance(minuteMs);
      await until(clock, () => !found(world, eventServices, 'orders'), 'it is gone');
      assert.ok(!(await world.events()).join().includes('LeftBehind'));
    }));

  it('does not keep a namespace that is being deleted', () =>
    withWorld(async (world, clock, servers) => {
      await declare(world, clock);
      servers.isLost = true;
      const { server } = world;
      server.patch(namespaces, undefined, namespace, { metadata: { finalizers: ['kubernetes'] } });
      server.delete(namespaces, undefined, namespace);
      server.delete(eventServices, namespace, 'orders');
      await until(clock, () => !found(world, eventServices, 'orders'), 'it is gone');
      await world.events();
      const told = server
        .all<KubeObject & { reason: string; note: string; regarding: { namespace: string; name: string } }>(eventType)
        .find(({ reason }) => reason === 'LeftBehind');
      assert.deepEqual(
        [told?.metadata.namespace, told?.regarding.namespace, told?.regarding.name, told?.note],
        [ownNamespace, namespace, 'orders', `left behind in the namespace shop: ${left}`],
        'the namespace itself takes no Event any more',
      );
    }));

  it('does not keep it for an external Kafka either, and tells of topics and rights', () =>
    withWorld(async (world, clock) => {
      const { server } = world;
      const sasl = { mechanism: 'SCRAM-SHA-512', secretRef: { name: 'admin' } } as const;
      const external = { bootstrapServers: '127.0.0.1:1', sasl };
      const produces = (topic: string) => [{ topic, partitions: 1, retention: -1 }];
      world.declare('orders', { deletionPolicy: 'Delete', kafka: { external }, produces: produces('order-events') });
      world.declare('users', { kafka: { external: { ...external, acls: true } }, produces: produces('user-events') });
      // one whose user has rights, though it is to have none any more
      world.declare('alerts', { kafka: { external }, produces: produces('alerts') });
      server.patch(eventServices, namespace, 'alerts', { status: { kafkaUsers: ['of-alerts'] } }, 'status');
      for (const name of ['orders', 'users', 'alerts'])
        await until(clock, () => hasFinalizer(world, eventServices, name), `${name} has its finalizer`);
      await until(clock, () => server.find(configMaps, namespace, 'kafka-topics'), 'the topics have records');
      server.patch(namespaces, undefined, namespace, { metadata: { finalizers: ['kubernetes'] } });
      server.delete(namespaces, undefined, namespace);
      server.delete(configMaps, namespace, 'kafka-topics');
      // such a namespace takes nothing new
      server.fail(403, Infinity, ({ verb, path }) => verb === 'patch' && path.endsWith('/configmaps/kafka-topics'));
      for (const name of ['orders', 'users', 'alerts']) {
        server.delete(eventServices, namespace, name);
        await until(clock, () => !found(world, eventServices, name), `${name} is gone`);
      }
      const told = (await world.events()).filter((event) => event.includes('LeftBehind'));
      const records = 'the ConfigMap kafka-topics, which says whose the topics are, does not exist';
      assert.deepEqual(told, [
        `Warning LeftBehind: left behind in the namespace shop: the topic order-events (${records})`,
        'Warning LeftBehind: left behind in the namespace shop: the ACLs of the user in the Secret users-kafka (the Secret users-kafka names no user, and the status does not either)',
        'Warning LeftBehind: left behind in the namespace shop: the ACLs of of-alerts (the Secret admin does not exist)',
      ]);
    }));

  it('tells at once of rights in a Kafka that the service names no more', () =>
    withWorld(async (world, clock) => {
      world.declare('users');
      await until(clock, () => world.condition('users', 'Ready')?.status === 'True', 'it is ready');
      const status = { kafkaUsers: ['of-users'] };
      world.server.patch(eventServices, namespace, 'users', { status }, 'status');
      await until(clock, () => hasFinalizer(world, eventServices, 'users'), 'its rights are to be taken');
      world.server.delete(eventServices, namespace, 'users');
      await until(clock, () => !found(world, eventServices, 'users'), 'it is gone');
      const note = 'left behind: the ACLs of of-users (the EventService names their Kafka no more)';
      assert.ok((await world.events()).includes(`Warning LeftBehind: ${note}`));
    }));

  it('that is not allowed is not begun: a condition says so, and what is left is told', () =>
    withWorld(async (world, clock, servers) => {
      world.declare('plain', { deletionPolicy: 'Delete' });
      await until(clock, () => world.condition('plain', 'Ready')?.reason === 'DeletionNotAllowed', 'it says so');
      assert.equal(kstatusOf(world.service('plain')!), 'Failed');
      assert.ok(!hasFinalizer(world, eventServices, 'plain'));

      world.declare('orders', withData);
      await until(clock, () => world.condition('orders', 'DeletionAllowed'), 'the rest is done nevertheless');
      assert.ok(world.server.find(kafkaTopics, namespace, 'order-events'));
      // one that was declared while it was allowed has a finalizer
      world.server.patch(eventServices, namespace, 'orders', {
        metadata: { finalizers: ['millrace.dev/delete-data'] },
      });
      world.server.delete(eventServices, namespace, 'orders');
      await until(clock, () => !found(world, eventServices, 'orders'), 'it is gone at once');
      const told = (await world.events()).find((event) => event.includes('LeftBehind'));
      assert.match(told!, /left behind: the topic order-events, the database orders \(this operator may not delete/);
      assert.ok(world.server.find(kafkaTopics, namespace, 'order-events'), 'its topic stays');
      assert.equal(servers.drops, 0);
      assert.ok(!world.server.requests.some(({ verb }) => verb === 'delete'), 'nothing was asked for');
    }, false));

  it('that is not allowed takes the rights nevertheless, and tells of what else is left', () =>
    withWorld(async (world, clock, servers) => {
      const external = { bootstrapServers: testServers().brokers, acls: true }; // which knows no rights: there are none to take
      const metadata = { namespace, name: 'orders-kafka' };
      const data = dataOf({ username: 'orders', password: 'x' });
      world.server.create(secrets, { apiVersion: 'v1', kind: 'Secret', metadata, data } as KubeObject);
      world.declare('orders', { ...withData, kafka: { external }, produces: [] });
      await until(clock, () => hasFinalizer(world, eventServices, 'orders'), 'it has its finalizer');
      world.server.delete(eventServices, namespace, 'orders');
      await until(clock, () => !found(world, eventServices, 'orders'), 'it is gone');
      const told = (await world.events()).find((event) => event.includes('LeftBehind'));
      assert.match(told!, /left behind: the database orders \(this operator may not delete/);
      assert.equal(servers.drops, 0);
    }, false));

  it('is possible again where the policy says no more that data goes', () =>
    withWorld(async (world, clock) => {
      world.declare('plain', { deletionPolicy: 'Delete' });
      await until(clock, () => world.condition('plain', 'DeletionAllowed'), 'it says so');
      world.server.patch(eventServices, namespace, 'plain', { spec: { deletionPolicy: 'Retain' } });
      await until(clock, () => world.condition('plain', 'Ready')?.status === 'True', 'it is ready');
      assert.equal(world.condition('plain', 'DeletionAllowed'), undefined);
    }, false));

  it('of a replay or a rebuild that has finished waits for nobody', () =>
    withWorld(async (world, clock) => {
      const finalizers: Record<string, string> = {
        [projectionRebuilds.kind]: 'millrace.dev/cancel-rebuild',
        [deadLetterReplays.kind]: 'millrace.dev/withdraw-replay',
      };
      for (const type of [projectionRebuilds, deadLetterReplays]) {
        const metadata = { namespace, name: 'done', finalizers: [finalizers[type.kind]!] };
        const status = { conditions: [{ type: 'Complete', status: 'True' }] };
        const spec = { service: 'orders', group: 'g', maxMessages: 1 };
        world.server.create(type, { apiVersion, kind: type.kind, metadata, spec, status } as KubeObject);
        await until(clock, () => !hasFinalizer(world, type, 'done'), `${type.kind} has no finalizer`);
      }
    }));

  it('of a replay or a rebuild ends, too', () =>
    withWorld(async (world, clock, servers) => {
      const consumes = [{ group: 'g', topics: ['order-events'], database: 'orders' }];
      world.declare('orders', { consumes });
      const all = [
        [projectionRebuilds, 'anew', { service: 'orders', group: 'g' }],
        [deadLetterReplays, 'again', { group: 'g', maxMessages: 1 }],
      ] as const;
      servers.isLost = true;
      for (const [type, name, spec] of all) {
        const status = { requestedAt: new Date().toISOString() };
        const metadata = { namespace, name };
        world.server.create(type, { apiVersion, kind: type.kind, metadata, spec, status } as KubeObject);
        await until(clock, () => hasFinalizer(world, type, name), `${name} has its finalizer`);
        world.server.delete(type, namespace, name);
        await until(clock, () => waits(world, type, name), `${name} waits`);
      }
      await clock.advance(11 * minuteMs);
      for (const [type, name] of all) await until(clock, () => !found(world, type, name), `${name} is gone`);
      const told = (await world.events()).filter((event) => event.startsWith('Warning LeftBehind'));
      assert.equal(told.length, 2);
    }));
});
