import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Registry } from 'prom-client';
import { Api } from './api.ts';
import { Applier, trimManagedFields } from './apply.ts';
import { systemClock } from './clock.ts';
import { setConditions } from './conditions.ts';
import type { Condition } from './conditions.ts';
import { Controller } from './controller.ts';
import { EventRecorder, eventType } from './events.ts';
import { hasFinalizer, isDeleting, setFinalizer } from './finalizers.ts';
import { Informer } from './informer.ts';
import { LeaderElection } from './lease.ts';
import { RuntimeMetrics } from './metrics.ts';
import { controllerOf, keyOf, ownerReference } from './objects.ts';
import type { KubeObject, Resource, ResourceType } from './objects.ts';
import { Operator } from './operator.ts';
import { writeStatus } from './status.ts';
import { FakeApiServer } from './testing/fake-api-server.ts';
import { configMaps, memoryLog } from './testing/support.ts';
import { eventually } from '#test/eventually.ts';
import type { ConfigMap } from './testing/support.ts';

const greetings: ResourceType = {
  group: 'example.com',
  version: 'v1',
  kind: 'Greeting',
  plural: 'greetings',
  namespaced: true,
};
type Greeting = Resource<{ text: string }, { conditions?: Condition[] }>;
const finalizer = 'example.com/greeting';

/** An operator whose greetings become config maps of the same name: what the runtime is for, in small. */
function createReplica(server: FakeApiServer, identity: string) {
  const connection = server.connection();
  const registry = new Registry();
  const metrics = new RuntimeMetrics(registry);
  const api = new Api(connection, metrics.onRequest);
  const log = memoryLog();
  const shared = { api, clock: systemClock, log, metrics, namespaces: undefined };
  const tuning = { backoff: { firstMs: 5, maxMs: 50 } };
  const manager = 'greetings';
  const informer = new Informer<Greeting>({ ...shared, type: greetings, tuning });
  const maps = new Informer<ConfigMap>({
    ...shared,
    type: configMaps,
    tuning,
    transform: (object) => trimManagedFields(object, manager),
  });
  const applier = new Applier(api, manager);
  const events = new EventRecorder({
    ...shared,
    controller: 'example.com/operator',
    instance: identity,
    ownNamespace: 'test',
  });
  const reconciled: string[] = [];

  const controller = new Controller({
    name: 'greetings',
    clock: systemClock,
    log,
    metrics,
    backoff: { firstMs: 5, maxMs: 50 },
    async reconcile(key, signal) {
      reconciled.push(key);
      const greeting = informer.store.get(key);
      if (!greeting) return;
      const { namespace, name, generation } = greeting.metadata;
      if (isDeleting(greeting)) {
        await api.delete(configMaps, namespace, name, { signal });
        await setFinalizer(api, greetings, greeting, finalizer, false, signal);
        return;
      }
      if (!hasFinalizer(greeting, finalizer)) await setFinalizer(api, greetings, greeting, finalizer, true, signal);
      const desired = {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { namespace: namespace!, name, ownerReferences: [ownerReference(greeting)] },
        data: { text: greeting.spec.text },
      };
      const { written } = await applier.apply(configMaps, desired, maps.store.get(key), signal);
      if (written) events.record(greeting, { type: 'Normal', reason: 'Written', action: 'Write', note: 'is there' });
      const said = { type: 'Ready', status: 'True', reason: 'Written', message: greeting.spec.text } as const;
      const conditions = setConditions(greeting.status?.conditions, [said], generation, systemClock.now());
      await writeStatus(api, greetings, greeting, { conditions }, { manager, signal });
    },
  })
    .for(informer)
    .watches(maps, (map) => {
      const owner = controllerOf(map, 'Greeting');
      return owner === undefined ? [] : [keyOf({ metadata: { ...map.metadata, name: owner } })];
    });

  const operator = new Operator({
    log,
    metrics,
    informers: [informer, maps],
    controllers: [controller],
    election: (handlers) =>
      new LeaderElection({
        ...handlers,
        ...shared,
        namespace: 'test',
        name: 'greetings',
        identity,
        leaseDurationMs: 1_000,
        renewDeadlineMs: 700,
        retryPeriodMs: 50,
      }),
  });
  return { operator, informer, reconciled, events, registry, connection, log };
}

function newGreeting(name: string, text: string): Greeting {
  return { apiVersion: 'example.com/v1', kind: 'Greeting', metadata: { namespace: 'test', name }, spec: { text } };
}

describe('an operator', () => {
  let server: FakeApiServer;
  let replicas: ReturnType<typeof createReplica>[];

  const start = (identity = 'a') => {
    const replica = createReplica(server, identity);
    replicas.push(replica);
    replica.operator.start();
    return replica;
  };
  const text = (name: string) => server.find<ConfigMap>(configMaps, 'test', name)?.data?.['text'];
  const found = (name: string) => server.find<Greeting>(greetings, 'test', name);
  const isReady = (name: string) => found(name)?.status?.conditions?.[0]?.message === text(name) && text(name);
  const isReadyToLead = ({ operator }: { operator: Operator }) => {
    try {
      operator.checkReady();
      return true;
    } catch {
      return false;
    }
  };
  beforeEach(async () => {
    replicas = [];
    server = new FakeApiServer();
    await server.start();
  });
  afterEach(async () => {
    for (const { operator, connection } of replicas) {
      await operator.stop();
      await connection.close();
    }
    await server.stop();
  });

  it('leads, by its metric, once its caches have synced', async () => {
    let isHeldUp = true;
    server.fail(503, Infinity, ({ path }) => isHeldUp && path.endsWith('v1/greetings'));
    const { operator, registry } = start();
    const leads = async () => (await registry.getSingleMetric('operator_leader')!.get()).values[0]?.value;
    await eventually(() => operator.leading, 'it has the lease');
    assert.notEqual(await leads(), 1);
    isHeldUp = false;
    await eventually(async () => (await leads()) === 1, 'it leads');
  });

  it('makes what is there true, then what changes, then puts right what others change', async () => {
    server.create(greetings, newGreeting('old', 'good day'));
    start();
    await eventually(() => isReady('old') === 'good day', 'old is there');
    server.create(greetings, newGreeting('new', 'hello'));
    await eventually(() => isReady('new') === 'hello', 'new is there');
    server.patch(greetings, 'test', 'new', { spec: { text: 'hi' } });
    await eventually(() => isReady('new') === 'hi', 'new has changed');
    assert.equal(found('new')?.status?.conditions?.[0]?.observedGeneration, 2);
    server.patch(configMaps, 'test', 'new', { data: { text: 'spoilt' } });
    await eventually(() => text('new') === 'hi', 'new is put right');
    server.delete(configMaps, 'test', 'new');
    await eventually(() => text('new') === 'hi', 'new is there again');
  });

  it('writes nothing when everything is as it should be, not even after a restart', async () => {
    for (let i = 0; i < 20; i += 1) server.create(greetings, newGreeting(`greeting-${i}`, 'hello'));
    const first = start('first');
    for (let i = 0; i < 20; i += 1) await eventually(() => isReady(`greeting-${i}`), `${i} is there`);
    await first.events.flush();
    await first.operator.stop();
    server.forget();
    const second = start('second');
    await eventually(() => new Set(second.reconciled).size === 20, 'everything is reconciled');
    await second.events.flush();
    assert.deepEqual(
      server.writes.filter(({ path }) => !path.includes('/leases')),
      [],
    );
  });

  it('cleans up before an object may go', async () => {
    server.create(greetings, newGreeting('short', 'bye'));
    start();
    await eventually(() => isReady('short'), 'it is there');
    server.delete(greetings, 'test', 'short');
    await eventually(() => !found('short') && text('short') === undefined, 'both are gone');
  });

  it('misses nothing while the server is away, and neither ends nor storms it', async () => {
    const replica = start();
    server.create(greetings, newGreeting('one', 'hello'));
    await eventually(() => isReady('one'), 'one is there');
    await server.stop();
    server.patch(greetings, 'test', 'one', { spec: { text: 'changed meanwhile' } });
    server.create(greetings, newGreeting('two', 'created meanwhile'));
    server.compact();
    await eventually(() => !replica.operator.leading, 'it leads no more');
    replica.operator.checkAlive();
    server.forget();
    await server.start();
    await eventually(() => isReady('one') === 'changed meanwhile', 'one is changed');
    await eventually(() => isReady('two') === 'created meanwhile', 'two is there');
    assert.ok(server.count('list') <= 4, `${server.count('list')} lists of two kinds`);
  });

  it('tries again where a write fails', async () => {
    start();
    server.create(greetings, newGreeting('zero', 'hello'));
    await eventually(() => isReady('zero'), 'it works');
    server.fail(409, 2, ({ path }) => path.includes('/configmaps'));
    server.fail(503, 2, ({ path }) => path.endsWith('/status'));
    server.create(greetings, newGreeting('one', 'hello'));
    await eventually(() => isReady('one') === 'hello', 'one is there');
  });

  it('has one replica that works, and another that takes over when it stops', async () => {
    const a = start('a');
    await eventually(() => a.operator.leading, 'a leads');
    const b = start('b');
    await eventually(() => isReadyToLead(b), 'b knows everything');
    server.create(greetings, newGreeting('one', 'hello'));
    await eventually(() => isReady('one'), 'one is there');
    assert.equal(b.reconciled.length, 0);
    await a.operator.stop();
    server.patch(greetings, 'test', 'one', { spec: { text: 'changed' } });
    await eventually(() => isReady('one') === 'changed', 'b does the work');
    assert.ok(b.reconciled.length > 0);
  });

  it('tells Prometheus what it does', async () => {
    const { registry, events } = start();
    server.create(greetings, newGreeting('one', 'hello'));
    await eventually(() => isReady('one'), 'one is there');
    await events.flush();
    server.reset();
    const page = async () => (await registry.metrics()).split('\n');
    await eventually(
      async () => (await page()).includes('operator_watch_restarts_total{resource="greetings",reason="error"} 1'),
      'the restart is counted',
    );
    const lines = await page();
    assert.ok(lines.includes('operator_leader 1'));
    assert.ok(
      lines.some((line) => line.startsWith('operator_reconciles_total{controller="greetings",result="success"}')),
    );
    assert.ok(lines.some((line) => line.startsWith('operator_api_requests_total{verb="apply",resource="configmaps"')));
    assert.ok(lines.some((line) => line.startsWith('operator_queue_wait_seconds_bucket')));
  });

  it('records what happened once, and counts what happens again', async () => {
    const { events } = start();
    const object = server.create(greetings, newGreeting('one', 'hello'));
    await eventually(() => isReady('one'), 'one is there');
    await events.flush();
    const details = { type: 'Warning', reason: 'Odd', action: 'Look', note: 'something is odd' } as const;
    for (let i = 0; i < 3; i += 1) events.record(object, details);
    events.record(object, { ...details, note: 'something else is odd' });
    await events.flush();
    const odd = server
      .all<KubeObject & { reason: string; note: string; series?: { count: number } }>(eventType)
      .filter(({ reason }) => reason === 'Odd');
    assert.deepEqual(
      odd.map(({ note, series }) => [note, series?.count]),
      [
        ['something is odd', 3],
        ['something else is odd', undefined],
      ],
    );
  });
});
