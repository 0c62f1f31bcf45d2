import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Registry } from 'prom-client';

import { Api } from '#runtime/api.ts';
import { Applier } from '#runtime/apply.ts';
import { systemClock as clock } from '#runtime/clock.ts';
import { EventRecorder } from '#runtime/events.ts';
import { RuntimeMetrics } from '#runtime/metrics.ts';
import type { Resource } from '#runtime/objects.ts';
import { FakeApiServer } from '#runtime/testing/fake-api-server.ts';
import { memoryLog } from '#runtime/testing/support.ts';
import type { EventServiceSpec } from '#platform/declaration-schema';
import { eventually } from '#test/eventually.ts';
import { apiVersion } from '../api/common.ts';
import type { EventService } from '../api/event-service.ts';
import { deployments, eventServices } from '../api/kinds.ts';
import { createInformers } from '../informers.ts';
import { manager } from '../labels.ts';
import { EventServiceController } from './controller.ts';

type Dependencies = ConstructorParameters<typeof EventServiceController>[1];

const groupLag = 100;
/** A service that is 100 events behind, in 6 partitions. */
const dependencies = {
  pools: { get: () => Promise.resolve({ query: () => Promise.resolve({ rows: [] }) }) },
  lagReader: { read: () => Promise.resolve({ lag: groupLag, partitions: new Map([['order-events', 6]]) }) },
  provisioner: {
    provision: () => Promise.resolve({ type: 'DatabasesReady', status: 'True', reason: 'Created', message: '' }),
  },
} as unknown as Dependencies;

const pods = 7;

/** What the operator does to a Deployment of 7 pods whose service is reconciled. */
async function reconciled(spec: Partial<EventServiceSpec>): Promise<{ replicas: number | undefined; paths: string[] }> {
  const server = new FakeApiServer();
  await server.start();
  const api = new Api(server.connection());
  const metrics = new RuntimeMetrics(new Registry());
  const log = memoryLog();
  const informers = createInformers({ api, clock, log, metrics, namespaces: ['shop'] });
  const events = new EventRecorder({ api, clock, log, controller: 'test', instance: 'test' });
  const context = { api, applier: new Applier(api, manager), events, clock, log, ...informers };
  const { controller } = new EventServiceController(context, dependencies, metrics);
  const metadata = { name: 'orders', namespace: 'shop' };
  server.create(deployments, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata,
    spec: { replicas: pods },
  } as never);
  const databases = [{ name: 'orders-read', schema: 'prisma/orders-read' }];
  const consumes = [{ group: 'orders-projection', topics: ['order-events'], database: 'orders-read' }];
  const kafka = { cluster: 'millrace' };
  server.create(eventServices, {
    apiVersion,
    kind: 'EventService',
    metadata: { ...metadata, generation: 1 },
    spec: { port: 8080, databases, consumes, kafka, ...spec },
  } as never);
  const stopping = new AbortController();
  const running = Object.values(informers).map((informer) => informer.run(stopping.signal));
  try {
    await Promise.all(Object.values(informers).map((informer) => informer.whenSynced()));
    controller.start();
    await eventually(
      () => server.find<EventService>(eventServices, 'shop', 'orders')?.status?.lag === groupLag,
      'the status has the lag',
    );
    const paths = server.requests.map(({ path }) => path).filter((path) => path.includes('/deployments/'));
    const deployment = server.find<Resource<{ replicas?: number }>>(deployments, 'shop', 'orders');
    return { replicas: deployment?.spec.replicas, paths };
  } finally {
    await controller.stop();
    stopping.abort();
    await Promise.all(running);
    await events.flush();
    await server.stop();
  }
}

describe('the pods of a service', () => {
  it('are as many as its lag needs, if the service scales', async () => {
    const { replicas } = await reconciled({ scaling: { minReplicas: 2, lagPerReplica: 50, maxReplicas: 6 } });
    assert.equal(replicas, 6, 'the partitions');
  });

  it('are nobody’s business otherwise: an autoscaler of one’s own decides', async () => {
    assert.deepEqual(await reconciled({}), { replicas: pods, paths: [] });
  });
});
