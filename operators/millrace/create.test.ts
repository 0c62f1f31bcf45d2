import assert from 'node:assert/strict';
import { it } from 'node:test';
import pino from 'pino';
import { Registry } from 'prom-client';

import { eventType } from '#runtime/events.ts';
import { RuntimeMetrics } from '#runtime/metrics.ts';
import type { KubeObject, Resource, ResourceType } from '#runtime/objects.ts';
import { FakeApiServer } from '#runtime/testing/fake-api-server.ts';
import { eventually } from '#test/eventually.ts';
import { apiVersion } from './api/common.ts';
import { configMaps, eventServices, kafkaTopics, kafkaUsers, namespaces, streamQueries } from './api/kinds.ts';
import { createOperator } from './create.ts';
import type { Rights } from './event-service/kafka-user.ts';
import type { ConfigMap } from './informers.ts';
import { madeForQueryLabel } from './labels.ts';
import { namespace, ownNamespace } from './testing/world.ts';

it('the operator makes the topic that only a query declares, with the right to it, and tells what a deletion leaves', async () => {
  const server = new FakeApiServer();
  await server.start();
  server.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  const { operator, close } = createOperator({
    connection: server.connection(),
    log: pino({ enabled: false }),
    metrics: new RuntimeMetrics(new Registry()),
    namespaces: [namespace],
    mayDelete: false,
    leaseNamespace: ownNamespace,
    leaseName: 'millrace-operator',
    leaseDurationMs: 5_000,
    identity: 'one',
  });
  const create = (type: ResourceType, name: string, spec: object) =>
    server.create(type, { apiVersion, kind: type.kind, metadata: { namespace, name }, spec } as KubeObject);
  const files = () => Object.keys(server.find<ConfigMap>(configMaps, namespace, 'stream-queries')?.data ?? {});
  const writes = () => {
    const user = server.find<Resource<{ authorization: { acls: Rights[] } }>>(kafkaUsers, namespace, 'analytics');
    const writable = user?.spec.authorization.acls.filter(({ operations }) => operations.includes('Write')) ?? [];
    return writable.map(({ resource }) => resource.name);
  };
  try {
    operator.start();
    create(eventServices, 'analytics', {
      port: 8084,
      kafka: { cluster: 'millrace' },
      produces: [{ topic: 'order-events', partitions: 6, retention: '7d' }],
      consumes: [{ group: 'analytics', topics: ['order-events'], database: 'analytics' }],
      streamQueries: true,
    });
    create(streamQueries, 'busy-users', {
      from: [{ topic: 'order-events' }],
      window: { tumbling: '1h' },
      select: [{ name: 'orders', count: true }],
      emit: { to: 'busy-users' },
    });
    await eventually(() => files().join() === 'busy-users.yaml', 'the query is passed on');
    const topic = server.find<KubeObject>(kafkaTopics, namespace, 'busy-users');
    assert.equal(topic?.metadata.labels?.[madeForQueryLabel], 'busy-users');
    await eventually(
      () => writes().join() === 'analytics.dead-letters,busy-users,order-events',
      'analytics may write it',
    );
    server.delete(streamQueries, namespace, 'busy-users');
    await eventually(() => files().length === 0, 'it is passed on no more');
    assert.ok(server.find(kafkaTopics, namespace, 'busy-users'), 'its topic stays');

    const sasl = { mechanism: 'SCRAM-SHA-512', secretRef: { name: 'missing' } };
    create(eventServices, 'left', {
      port: 8080,
      kafka: { external: { bootstrapServers: '127.0.0.1:1', sasl, acls: true } },
      produces: [{ topic: 'left', partitions: 1, retention: -1 }],
      deletionPolicy: 'Delete',
    });
    const found = () => server.find(eventServices, namespace, 'left');
    await eventually(() => found()?.metadata.finalizers, 'it has its finalizer');
    server.delete(eventServices, namespace, 'left');
    await eventually(() => !found(), 'it is gone');
    const told = () =>
      server
        .all<KubeObject & { reason: string; note: string }>(eventType)
        .filter(({ reason }) => reason === 'LeftBehind');
    await eventually(() => told().length > 0, 'its Event is there');
    const why = [
      'the Secret left-kafka names no user, and the status does not either',
      'this operator may not delete topics and databases, and leaves them: set deletionPolicy to Retain, or deletion.allowed to true in the chart of the operator',
    ];
    assert.deepEqual(
      told().map(({ metadata, note }) => [metadata.namespace, note]),
      [[namespace, `left behind: the ACLs of the user in the Secret left-kafka, the topic left (${why.join('; ')})`]],
    );
  } finally {
    await close();
    await server.stop();
  }
});
