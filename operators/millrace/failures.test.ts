import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { conditionOf } from '#runtime/conditions.ts';
import type { Condition } from '#runtime/conditions.ts';
import type { KubeObject, Resource, ResourceType } from '#runtime/objects.ts';
import { ManualClock } from '#runtime/testing/manual-clock.ts';
import type { memoryLog } from '#runtime/testing/support.ts';
import { eventually } from '#test/eventually.ts';
import { apiVersion } from './api/common.ts';
import { deadLetterReplays, definitions, eventServices, projectionRebuilds, streamQueries } from './api/kinds.ts';
import type { DatabasePools } from './database-pools.ts';
import { crdOf } from './crds/crd.ts';
import { deadLetterReplayController } from './dead-letter-replay/controller.ts';
import { projectionRebuildController } from './projection-rebuild/controller.ts';
import { StreamQueryControllers } from './stream-query/controllers.ts';
import { eventServiceWorld } from './testing/event-services.ts';
import type { EventServiceWorld } from './testing/event-services.ts';
import { kstatusOf } from './testing/kstatus.ts';
import { namespace } from './testing/world.ts';
import type { World } from './testing/world.ts';

const fine = { type: 'DatabasesReady', status: 'True', reason: 'Created', message: '' };
const consumes = [{ group: 'g', topics: ['order-events'], database: 'orders' }];

function create(world: World, type: ResourceType, name: string, spec: object): void {
  world.server.create(type, { apiVersion, kind: type.kind, metadata: { namespace, name }, spec } as KubeObject);
}
function found(world: World, type: ResourceType, name: string) {
  return world.server.find<Resource<unknown, { conditions?: Condition[] }>>(type, namespace, name)!;
}
const readyOf = (world: World, type: ResourceType, name: string) =>
  conditionOf(found(world, type, name).status?.conditions, 'Ready');
const metricOf = async (world: World, type: ResourceType, name: string) =>
  (
    await world.metricLines(
      `operator_resource_ready{resource="${type.plural}",resource_namespace="shop",name="${name}"}`,
    )
  )
    .map((line) => line.split(' ').at(-1))
    .join();

describe('a reconcile that fails', () => {
  let failure: Error | undefined;
  const provisioner = {
    provision: () => (failure ? Promise.reject(failure) : Promise.resolve(fine)),
    forget: () => undefined,
  };
  const withWorld = async (work: (world: EventServiceWorld) => Promise<void>) => {
    failure = undefined;
    const world = await eventServiceWorld(() => ({ provisioner }));
    try {
      await work(world);
    } finally {
      await world.stop();
    }
  };
  const service = 'orders';

  it('leaves no Ready that is True, and is told in a condition, one Event and a metric', () =>
    withWorld(async (world) => {
      const { declare, condition, controller } = world;
      declare(service);
      await eventually(() => condition(service, 'Ready')?.status === 'True', 'it is ready');
      assert.equal(await metricOf(world, eventServices, service), '1');
      assert.equal(kstatusOf(world.service(service)!), 'Current');

      failure = new Error('no route to host');
      controller.enqueue(`${namespace}/${service}`);
      await eventually(() => condition(service, 'Ready')?.status === 'False', 'it is not ready');
      const { reason, message } = condition(service, 'Ready')!;
      assert.deepEqual([reason, message], ['ReconcileFailed', 'no route to host']);
      assert.equal(condition(service, 'Stalled'), undefined, 'it may heal alone');
      assert.equal(await metricOf(world, eventServices, service), '0');
      assert.equal(kstatusOf(world.service(service)!), 'InProgress');
      for (let i = 0; i < 3; i += 1) {
        const before = await failures(world);
        controller.enqueue(`${namespace}/${service}`);
        await eventually(async () => (await failures(world)) > before, 'it fails again');
      }
      const told = (await world.events()).filter((event) => event.includes('ReconcileFailed'));
      assert.deepEqual(told, ['Warning ReconcileFailed: no route to host']);

      failure = undefined;
      controller.enqueue(`${namespace}/${service}`);
      await eventually(() => condition(service, 'Ready')?.status === 'True', 'it is ready again');
      assert.equal(await metricOf(world, eventServices, service), '1');
    }));

  it('is nobody’s business where the next attempt succeeds', () =>
    withWorld(async (world) => {
      const { declare, condition, controller } = world;
      declare(service);
      await eventually(() => condition(service, 'Ready')?.status === 'True', 'it is ready');
      failure = new Error('reset');
      controller.enqueue(`${namespace}/${service}`);
      await eventually(async () => {
        const has = (await failures(world)) > 0;
        if (has) failure = undefined;
        return has;
      }, 'it fails');
      const version = world.service(service)!.metadata.resourceVersion;
      const before = await successes(world);
      await eventually(async () => (await successes(world)) > before, 'it succeeds');
      assert.equal(world.service(service)!.metadata.resourceVersion, version);
    }));

  it('is stalled where the API server refuses what the operator asks for, and heals when it does no more', () =>
    withWorld(async (world) => {
      const { server, declare, condition, controller } = world;
      server.fail(403, 1, ({ path }) => path.includes('/kafkatopics/'));
      declare(service, {
        kafka: { cluster: 'millrace' },
        produces: [{ topic: 'order-events', partitions: 1, retention: -1 }],
      });
      await eventually(() => condition(service, 'Stalled')?.status === 'True', 'it is stalled');
      assert.equal(condition(service, 'Ready')!.reason, 'ReconcileRefused');
      assert.match(condition(service, 'Stalled')!.message, /403/);
      assert.equal(kstatusOf(world.service(service)!), 'Failed');
      controller.enqueue(`${namespace}/${service}`);
      await eventually(() => condition(service, 'Ready')!.reason === 'TopicsNotReady', 'it goes on');
      assert.equal(condition(service, 'Stalled'), undefined);
    }));

  it('is stalled where only another spec helps', () =>
    withWorld(async (world) => {
      world.declare(service, { produces: [{ topic: 'order-events', partitions: 1, retention: -1 }] });
      await eventually(() => world.condition(service, 'Stalled'), 'it is stalled');
      assert.equal(world.condition(service, 'Stalled')!.reason, 'NoKafka');
      assert.equal(kstatusOf(world.service(service)!), 'Failed');
    }));

  it('is told in replays and rebuilds, too', () =>
    withWorld(async (world) => {
      const refusing = { query: () => Promise.reject(new Error('too many clients')), connect: refuse };
      const pools = { get: () => Promise.resolve(refusing) } as unknown as DatabasePools;
      const { context, metrics } = world;
      await world.start(
        deadLetterReplayController(context, pools, metrics),
        projectionRebuildController(context, pools, metrics),
      );
      world.declare(service, { consumes });
      create(world, projectionRebuilds, 'anew', { service, group: 'g' });
      create(world, deadLetterReplays, 'again', { group: 'g', maxMessages: 1 });
      for (const [type, name] of [
        [projectionRebuilds, 'anew'],
        [deadLetterReplays, 'again'],
      ] as const) {
        await eventually(() => readyOf(world, type, name)?.reason === 'ReconcileFailed', `${name} says so`);
        assert.equal(readyOf(world, type, name)!.message, 'too many clients');
        assert.equal(await metricOf(world, type, name), '0');
      }
    }));

  it('is told in the stream queries that it does not pass on', () =>
    withWorld(async (world) => {
      const { context, metrics, server } = world;
      let isRefused = true;
      server.fail(403, Infinity, ({ path }) => isRefused && path.endsWith('/configmaps/stream-queries'));
      const noStatus = () => Promise.resolve([]);
      await world.start(...new StreamQueryControllers(context, noStatus, metrics, world).controllers);
      world.declare('analytics', { streamQueries: true, consumes });
      world.declare('orders', { produces: [{ topic: 'order-events', partitions: 1, retention: -1 }] });
      const spec = { from: [{ topic: 'order-events' }], window: { tumbling: '1h' } };
      create(world, streamQueries, 'orders-by-hour', { ...spec, select: [{ name: 'orders', count: true }] });
      const ready = () => readyOf(world, streamQueries, 'orders-by-hour');
      await eventually(() => ready()?.reason === 'ReconcileRefused', 'it says so');
      assert.match(ready()!.message, /403/);
      assert.equal(kstatusOf(found(world, streamQueries, 'orders-by-hour')), 'Failed');
      isRefused = false;
      await eventually(() => ready()?.reason === 'Starting', 'it is passed on');
      assert.equal(kstatusOf(found(world, streamQueries, 'orders-by-hour')), 'InProgress');
    }));
});

it('a CRD that is older than the operator costs a status only the fields that it lacks, which is told once', async () => {
  const clock = new ManualClock();
  const world = await eventServiceWorld(
    () => ({}),
    clock,
    (server) => server.undeclare(eventServices, ['consumers', 'databases']),
  );
  try {
    const { server, context, service, condition } = world;
    const { lines } = context.log as ReturnType<typeof memoryLog>;
    for (const name of ['orders', 'users']) {
      world.declare(name, {
        databases: [{ name: 'orders', schema: 'prisma/orders' }],
        consumes: [{ ...consumes[0]!, group: name }],
      });
      await clock.until(() => condition(name, 'Ready')?.reason === 'NoKafka', `${name} says how it is`);
    }
    await clock.until(async () => (await successes(world)) > 10, 'they are looked at again and again');
    const { status } = service('orders')!;
    assert.deepEqual([status!.databases, status!.consumers, status!.schemaVersion], [undefined, undefined, '-']);
    assert.equal(await failures(world), 0);
    const told = lines.filter(({ message }) => message.startsWith('the CRD is older than the operator'));
    assert.deepEqual(
      told.map(({ level, details }) => ({ level, ...details })),
      [{ level: 'warn', kind: 'EventService', fields: ['consumers', 'databases'] }],
    );
    server.undeclare(eventServices, []);
    await clock.advance(10 * 60_000);
    await clock.until(() => service('orders')!.status!.databases, 'a newer CRD has them');
  } finally {
    await world.stop();
  }
});

describe('a resource that the operator has not seen', () => {
  for (const definition of definitions) {
    it(`is not done: ${definition.kind}`, () => {
      const [version] = crdOf(definition).spec['versions'] as {
        schema: { openAPIV3Schema: { properties: { status: { default: object } } } };
      }[];
      const status = version!.schema.openAPIV3Schema.properties.status.default;
      const fresh = { apiVersion, kind: definition.kind, metadata: { name: 'fresh', generation: 1 }, status };
      assert.equal(kstatusOf(fresh), 'InProgress');
    });
  }
});

const refuse = () => Promise.reject(new Error('too many clients'));
const results = async (world: World, result: string) => {
  const lines = await world.metricLines(`operator_reconciles_total{controller="event-service",result="${result}"}`);
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
};
const failures = (world: World) => results(world, 'error');
const successes = (world: World) => results(world, 'success');
