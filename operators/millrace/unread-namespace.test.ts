import assert from 'node:assert/strict';
import { it } from 'node:test';
import pino from 'pino';

import type { KubeObject } from '#runtime/objects.ts';
import { ManualClock } from '#runtime/testing/manual-clock.ts';
import { eventually } from '#test/eventually.ts';
import { apiVersion } from './api/common.ts';
import { configMaps, eventServices, streamQueries } from './api/kinds.ts';
import { ExternalKafka } from './external-kafka/external-kafka.ts';
import type { ConfigMap } from './informers.ts';
import { managedBy, manager } from './labels.ts';
import { configMapNames } from './stream-query/config-map.ts';
import { EmittedTopics } from './stream-query/emitted-topics.ts';
import { StreamQueryControllers } from './stream-query/controllers.ts';
import { createWorld, namespace } from './testing/world.ts';

const named = (kind: string, where: string, name: string, spec: object) =>
  ({ apiVersion, kind, metadata: { namespace: where, name }, spec }) as KubeObject;

it('the queries of a namespace that cannot be read stay where they are, and others are passed on', async () => {
  const [files = ''] = configMapNames;
  const clock = new ManualClock();
  let isForbidden = true;
  let isLost = false;
  const spec = { from: [{ topic: 'order-events' }], window: { tumbling: '1h' }, select: [{ name: 'n', count: true }] };
  const world = await createWorld(
    clock,
    (server) => {
      server.fail(403, Infinity, ({ path }) => isForbidden && path.includes(`/namespaces/${namespace}/streamqueries`));
      server.fail(403, Infinity, ({ path }) => isLost && path.includes('/namespaces/other/'));
      for (const one of [namespace, 'other']) {
        server.create(streamQueries, named('StreamQuery', one, 'by-hour', spec));
        const produces = [{ topic: 'order-events', partitions: 1, retention: -1 }];
        server.create(eventServices, named('EventService', one, 'orders', { port: 8080, produces }));
        const consumes = [{ group: 'g', topics: ['order-events'], database: 'd' }];
        const runner = { port: 8080, streamQueries: true, consumes };
        server.create(eventServices, named('EventService', one, 'analytics', runner));
      }
    },
    [namespace, 'other'],
  );
  const { server, context } = world;
  const informers = [context.streamQueries, context.eventServices, context.kafkaTopics, context.configMaps];
  const externalKafka = new ExternalKafka(context, pino({ enabled: false }));
  const places = { externalKafka, emittedTopics: new EmittedTopics() };
  const filesIn = (where: string) => Object.keys(server.find<ConfigMap>(configMaps, where, files)?.data ?? {});
  const isPassedOn = (where: string, query: string) =>
    eventually(async () => {
      await clock.advance(1_000);
      return filesIn(where).includes(`${query}.yaml`);
    }, `${query} in ${where} is passed on`);
  try {
    const metadata = { namespace, name: files, labels: managedBy };
    const written = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'before.yaml': 'kind: StreamQuery' } };
    await context.api.apply(configMaps, written, manager);
    await eventually(() => context.configMaps.store.get(`${namespace}/${files}`), 'the operator knows its ConfigMap');
    await world.start(
      ...new StreamQueryControllers(context, () => Promise.resolve([]), world.metrics, places).controllers,
    );
    await isPassedOn('other', 'by-hour');
    server.patch(eventServices, namespace, 'orders', { spec: { calls: ['users'] } });
    await eventually(() => context.eventServices.store.get(`${namespace}/orders`)?.spec.calls, 'the change is seen');
    server.create(streamQueries, named('StreamQuery', 'other', 'later', spec));
    await isPassedOn('other', 'later');
    assert.deepEqual(filesIn(namespace), ['before.yaml']);
    isForbidden = false;
    await isPassedOn(namespace, 'by-hour');

    // the rights in the other one go later
    const metrics = async () =>
      (await world.metricLines('operator_resource_ready')).filter((line) => line.includes('"other"')).length;
    await eventually(metrics, 'its queries have metrics');
    isLost = true;
    server.endWatches();
    await eventually(async () => {
      await clock.advance(1_000);
      return informers.every((informer) => informer.isUnread('other'));
    }, 'no kind can be read');
    assert.equal(await metrics(), 0, 'nobody knows how they are');
    server.create(streamQueries, named('StreamQuery', namespace, 'last', spec));
    await isPassedOn(namespace, 'last');
    server.forget();
    await clock.advance(60_000);
    const asked = server.requests.filter(({ path }) => path.includes('/namespaces/other/')).map(({ verb }) => verb);
    assert.deepEqual([...new Set(asked)], ['list'], 'it is left alone');
    isLost = false;
    await eventually(async () => {
      await clock.advance(1_000);
      return (await metrics()) > 0;
    }, 'it may read it again');
  } finally {
    await world.stop();
    await externalKafka.close();
  }
});
