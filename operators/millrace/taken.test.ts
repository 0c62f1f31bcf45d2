import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import pino from 'pino';

import { conditionOf } from '#runtime/conditions.ts';
import type { KubeObject, Resource } from '#runtime/objects.ts';
import { eventually } from '#test/eventually.ts';
import { apiVersion } from './api/common.ts';
import { configMaps, eventServices, kafkaTopics, kafkaUsers, streamQueries } from './api/kinds.ts';
import { ConsumerLagReader } from './consumer-lag.ts';
import type { Rights } from './event-service/kafka-user.ts';
import type { ConfigMap } from './informers.ts';
import { madeForLabel, madeForQueryLabel, managedBy, manager } from './labels.ts';
import type { StatusWithConditions } from './report.ts';
import { StreamQueryControllers } from './stream-query/controllers.ts';
import { queryText } from './stream-query/validate.ts';
import { eventServiceWorld } from './testing/event-services.ts';
import type { EventServiceWorld } from './testing/event-services.ts';
import { kstatusOf } from './testing/kstatus.ts';
import type { KafkaTopic } from './strimzi.ts';
import { strimziAnswers, strimziSays } from './testing/strimzi.ts';
import { namespace } from './testing/world.ts';

const kafka = { cluster: 'millrace' };
const retained = { partitions: 3, replicas: 3, config: { 'retention.ms': '-1' } };

/** A KafkaTopic that somebody else has made. */
const foreignTopic = (name: string) => ({
  apiVersion: 'kafka.strimzi.io/v1',
  kind: 'KafkaTopic',
  metadata: { namespace, name, labels: { 'strimzi.io/cluster': 'millrace' } },
  spec: retained,
});

interface WithAcls {
  authorization: { acls: Rights[] };
}

/** What an object is, but for what Strimzi says of it. */
const partsOf = (object: KubeObject | undefined) => {
  const { spec, metadata } = object as Resource<object>;
  return { spec, labels: metadata.labels, owners: metadata.ownerReferences };
};

async function inWorld(test: (world: EventServiceWorld) => Promise<void>): Promise<void> {
  const world = await eventServiceWorld();
  try {
    await test(world);
  } finally {
    await world.stop();
  }
}

/** Does what a message says, as `kubectl label` does it. */
function handOver({ server }: EventServiceWorld, type: typeof kafkaTopics, message: string): void {
  const [, plural, name, pairs = ''] =
    /: kubectl --namespace shop label --overwrite (\S+)\.kafka\.strimzi\.io (\S+) (.*)$/.exec(message) ?? [];
  assert.equal(plural, type.plural, message);
  const labels = Object.fromEntries(pairs.split(' ').map((pair) => pair.split('=')));
  server.patch(type, namespace, name!, { metadata: { labels } });
}

describe('what somebody else has made in Kubernetes', () => {
  it('is not touched where it has the name of a topic of a service, nor deleted with it', () =>
    inWorld(async (world) => {
      const { server, declare, condition, service } = world;
      const topic = foreignTopic('company-events');
      server.create(kafkaTopics, topic);
      const produces = ['company-events', 'report-events'].map((name) => ({
        topic: name,
        partitions: 6,
        retention: '7d',
      }));
      const declared = () => declare('reports', { kafka, produces, deletionPolicy: 'Delete' });
      const found = (name = 'company-events') => server.find(kafkaTopics, namespace, name);
      declared();
      await eventually(() => condition('reports', 'Ready')?.reason === 'TopicTaken', 'it says so');
      const { message } = condition('reports', 'TopicsReady')!;
      assert.match(
        message,
        /^the KafkaTopic company-events exists, and Millrace has not made it: declare another topic/,
      );
      assert.equal(kstatusOf(service('reports')!), 'Failed');
      assert.ok(found('report-events'), 'its other topic is made');
      server.delete(eventServices, namespace, 'reports');
      await eventually(() => !service('reports'), 'the service is gone');
      assert.equal(found('report-events'), undefined, 'its own topic is deleted');
      assert.deepEqual(partsOf(found()), partsOf(topic));

      declared();
      await eventually(() => condition('reports', 'TopicsReady')?.reason === 'TopicTaken', 'it says so again');
      handOver(world, kafkaTopics, message);
      await eventually(() => condition('reports', 'TopicsReady')?.reason !== 'TopicTaken', 'it is handed over');
      assert.equal((found() as Resource<typeof retained>).spec.partitions, 6);
    }));

  it('is not touched where it is the KafkaTopic of another topic, nor deleted with a service', () =>
    inWorld(async ({ server, declare, condition, service }) => {
      const found = (name: string) => server.find<KafkaTopic>(kafkaTopics, namespace, name);
      const topicOf = (name: string, topicName: string, labels: Record<string, string>) => {
        const { metadata, ...rest } = foreignTopic(name);
        const made = { ...metadata, labels: { ...metadata.labels, ...labels } };
        server.create(kafkaTopics, { ...rest, metadata: made, spec: { ...retained, topicName } } as KubeObject);
        return found(name)!;
      };
      const others = [
        topicOf('of-a-query-topic', 'of_a_query', { ...managedBy, [madeForQueryLabel]: 'hourly' }),
        topicOf('of-reports-topic', 'of_reports', { ...managedBy, [madeForLabel]: 'reports' }),
        topicOf('of-nobody-topic', 'of_nobody', { ...managedBy, [madeForLabel]: 'gone' }),
        topicOf('of-a-stranger-topic', 'of_a_stranger', {}),
      ];
      const wanted = ['Of_A_Query', 'Of_Reports', 'Of_Nobody', 'Of_A_Stranger', 'both_', 'Both'];
      const produces = wanted.map((topic) => ({ topic, partitions: 6, retention: '7d' }));
      declare('reports', { kafka, produces, deletionPolicy: 'Delete' });
      await eventually(() => condition('reports', 'Ready')?.reason === 'TopicTaken', 'it says so');
      const sentence = (name: string, topic: string, other: string) =>
        `the KafkaTopic ${name} is that of the topic ${topic}, not of ${other}: declare another topic, or delete the KafkaTopic where nobody needs that one`;
      assert.deepEqual(condition('reports', 'TopicsReady')!.message.split('; ').toSorted(), [
        sentence('both-topic', 'both_', 'Both'),
        sentence('of-a-query-topic', 'of_a_query', 'Of_A_Query'),
        sentence('of-a-stranger-topic', 'of_a_stranger', 'Of_A_Stranger'),
        sentence('of-nobody-topic', 'of_nobody', 'Of_Nobody'),
        sentence('of-reports-topic', 'of_reports', 'Of_Reports'),
      ]);
      server.delete(eventServices, namespace, 'reports');
      await eventually(() => !service('reports'), 'the service is gone');
      assert.equal(found('both-topic'), undefined, 'its own topic is deleted');
      assert.deepEqual(
        others.map(({ metadata }) => found(metadata.name)),
        others,
      );
    }));

  it('is not touched where it has the name of the user of a service', () =>
    inWorld(async (world) => {
      const { server, declare, condition } = world;
      const user = {
        ...foreignTopic('reports'),
        kind: 'KafkaUser',
        spec: { authentication: { type: 'tls' } },
      };
      server.create(kafkaUsers, user);
      const topic = { namespace, name: 'report-events' };
      declare('reports', { kafka, produces: [{ topic: topic.name, partitions: 6, retention: '7d' }] });
      await eventually(() => server.find(kafkaTopics, namespace, topic.name), 'its topic is made');
      strimziAnswers(server, kafkaTopics, topic, strimziSays.ready);
      await eventually(() => condition('reports', 'Ready')?.reason === 'UserTaken', 'it says so');
      const found = () => server.find(kafkaUsers, namespace, 'reports');
      assert.deepEqual(partsOf(found()), partsOf(user));
      const { message } = condition('reports', 'UserReady')!;
      assert.match(message, /^the KafkaUser reports exists, and Millrace has not made it/);
      handOver(world, kafkaUsers, message);
      await eventually(() => condition('reports', 'UserReady')?.reason !== 'UserTaken', 'it is handed over');
      assert.equal((found() as Resource<typeof user.spec>).spec.authentication.type, 'scram-sha-512');
    }));

  it('is not the user of the operator itself, which has one in each Kafka', () =>
    inWorld(async ({ server, declare, condition, context }) => {
      const reader = new ConsumerLagReader(context, pino({ enabled: false }));
      const never = new AbortController().signal;
      const clusters = ['millrace', 'other'];
      for (const cluster of clusters) await reader.read({ namespace, kafka: { cluster } }, [], [], never);
      const users = server
        .all(kafkaUsers)
        .map(({ metadata: { name, labels } }) => [name, labels?.['strimzi.io/cluster']]);
      assert.deepEqual(
        users,
        clusters.map((cluster) => [`millrace-operator-${cluster}`, cluster]),
      );
      const name = 'millrace-operator-millrace';
      const own = partsOf(server.find(kafkaUsers, namespace, name));
      declare(name, { kafka, produces: [{ topic: 'report-events', partitions: 6, retention: '7d' }] });
      await eventually(() => condition(name, 'UserReady')?.reason === 'UserTaken', 'it says so');
      assert.deepEqual(partsOf(server.find(kafkaUsers, namespace, name)), own);
    }));

  it('is not touched where it has the name of the ConfigMap of the queries', () =>
    inWorld(async (world) => {
      const { server, declare, context, metrics } = world;
      const data = { 'theirs.txt': 'theirs' };
      const theirs = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name: 'stream-queries' }, data };
      server.create(configMaps, theirs as KubeObject);
      const queries = new StreamQueryControllers(context, () => Promise.resolve([]), metrics, world);
      await world.start(...queries.controllers);
      const consumes = [{ group: 'analytics', topics: ['order-events'], database: 'analytics' }];
      const produces = [{ topic: 'order-events', partitions: 6, retention: '7d' }];
      declare('analytics', { kafka, produces, consumes, streamQueries: true });
      const spec = {
        from: [{ topic: 'order-events' }],
        window: { tumbling: '1h' },
        select: [{ name: 'orders', count: true }],
      };
      const metadata = { namespace, name: 'hourly' };
      server.create(streamQueries, { apiVersion, kind: 'StreamQuery', metadata, spec } as KubeObject);
      const ready = () =>
        conditionOf(
          server.find<Resource<unknown, StatusWithConditions>>(streamQueries, namespace, 'hourly')?.status?.conditions,
          'Ready',
        );
      await eventually(() => ready()?.reason === 'ConfigMapTaken', 'the query says so');
      const found = () => server.find<typeof theirs & KubeObject>(configMaps, namespace, 'stream-queries')!;
      assert.deepEqual(found().data, data);
      const [, labels = ''] = / label --overwrite configmaps stream-queries (.*)$/.exec(ready()!.message) ?? [];
      server.patch(configMaps, namespace, 'stream-queries', {
        metadata: { labels: Object.fromEntries([labels.split('=')]) },
      });
      await eventually(() => Object.hasOwn(found().data, 'hourly.yaml'), 'it is handed over');
    }));

  it('is not touched where a query emits to it, and neither is what was made for a service that is gone', () =>
    inWorld(async (world) => {
      const { server, declare, condition, context, metrics, service } = world;
      const found = (name: string) => server.find<Resource<typeof retained>>(kafkaTopics, namespace, name);
      const theirs = foreignTopic('company-events');
      server.create(kafkaTopics, theirs);
      declare('billing', { kafka, produces: [{ topic: 'billing-events', partitions: 3, retention: -1 }] });
      await eventually(() => condition('billing', 'TopicsReady')?.reason === 'TopicsNotReady', 'its topic is made');
      const kept = partsOf(found('billing-events'));
      server.delete(eventServices, namespace, 'billing');
      await eventually(() => !service('billing'), 'the service is gone');
      // as an earlier release has made one for a query
      const labels = { 'app.kubernetes.io/managed-by': 'millrace-operator', 'millrace.dev/made-for': 'earlier' };
      const config = { 'retention.ms': String(7 * 86_400_000) };
      const earlier = foreignTopic('earlier');
      server.create(kafkaTopics, {
        ...earlier,
        metadata: { ...earlier.metadata, labels },
        spec: { ...retained, partitions: 6, config },
      } as KubeObject);

      const emitting = (to: string, rest: object = {}) => ({
        apiVersion,
        kind: 'StreamQuery',
        metadata: { namespace, name: to },
        spec: {
          from: [{ topic: 'order-events' }],
          window: { tumbling: '1h' },
          select: [{ name: 'orders', count: true }],
          emit: { to },
          ...rest,
        },
      });
      // as an earlier release has passed one on
      const data = { 'company-events.yaml': queryText(emitting('company-events')) };
      const metadata = { namespace, name: 'stream-queries', labels: managedBy };
      await context.api.apply(
        configMaps,
        { apiVersion: 'v1', kind: 'ConfigMap', metadata, data } as KubeObject,
        manager,
      );
      await eventually(() => context.configMaps.store.get(`${namespace}/stream-queries`), 'the operator knows it');

      const queries = new StreamQueryControllers(context, () => Promise.resolve([]), metrics, world);
      await world.start(...queries.controllers);
      const consumes = [{ group: 'analytics', topics: ['order-events'], database: 'analytics' }];
      const produces = [{ topic: 'order-events', partitions: 6, retention: '7d' }];
      declare('analytics', { kafka, produces, consumes, streamQueries: true });
      for (const to of ['company-events', 'billing-events', 'earlier', 'mine'])
        server.create(streamQueries, emitting(to));
      server.create(streamQueries, emitting('of-a-mistake', { having: 'order > 1' }));
      const ready = (name: string) =>
        conditionOf(
          server.find<Resource<unknown, StatusWithConditions>>(streamQueries, namespace, name)?.status?.conditions,
          'Ready',
        );
      for (const [name, whose] of [
        ['company-events', 'exists, and Millrace has not made it'],
        ['billing-events', 'was made for billing'],
      ] as const) {
        await eventually(() => ready(name)?.reason === 'TopicTaken', `${name} says so`);
        assert.ok(ready(name)!.message.startsWith(`the KafkaTopic ${name} ${whose}: emit to another topic`));
      }
      assert.deepEqual(partsOf(found('company-events')), partsOf(theirs));
      assert.deepEqual(partsOf(found('billing-events')), kept);
      for (const name of ['earlier', 'mine']) {
        await eventually(() => ready(name)?.reason === 'TopicNotReady', `${name} waits for Strimzi alone`);
        assert.equal(found(name)?.metadata.labels?.['millrace.dev/made-for-query'], name);
      }

      const files = () => server.find<ConfigMap>(configMaps, namespace, 'stream-queries')?.data ?? {};
      /** The topics that the service may write whose queries these are, but for its own. */
      const written = () => {
        const user = server.find<Resource<WithAcls>>(kafkaUsers, namespace, 'analytics');
        const { acls = [] } = user?.spec.authorization ?? {};
        const writable = acls.filter(({ operations }) => operations.includes('Write'));
        return writable
          .map(({ resource }) => resource.name)
          .filter((name) => !/^(order-events|analytics\.)/.test(name));
      };
      await eventually(() => written().length === 2, 'the service gets its rights');
      assert.deepEqual(written(), ['earlier', 'mine'], 'and no others');
      await eventually(() => !Object.hasOwn(files(), 'company-events.yaml'), 'nothing is sent to what is not its own');
      assert.deepEqual(Object.keys(files()), ['earlier.yaml', 'mine.yaml']);
      const { 'mine.yaml': before } = files();
      server.patch(streamQueries, namespace, 'mine', { spec: { emit: { to: 'company-events' } } });
      server.delete(streamQueries, namespace, 'earlier');
      await eventually(() => ready('mine')?.reason === 'TopicTaken', 'a change to a topic that is taken is refused');
      await eventually(() => !Object.hasOwn(files(), 'earlier.yaml'), 'a deleted query is passed on no more');
      assert.deepEqual(files(), { 'mine.yaml': before }, 'what was accepted goes on');
      assert.deepEqual(written(), ['earlier', 'mine'], 'and keeps its right, as what is deleted does for a moment');

      const ofBilling = ['billing-events', 'mine'].map((topic) => ({ topic, partitions: 3, retention: -1 }));
      declare('billing', { kafka, produces: ofBilling });
      await eventually(
        () =>
          ready('billing-events')?.message.includes('billing-events is a topic of billing, which alone may write it'),
        'the topic of a service is that one’s alone',
      );
      assert.equal(ready('billing-events')!.reason, 'TopicTaken');
      await eventually(() => Object.keys(files()).length === 0, 'what was accepted and emits to it ends');
      await eventually(() => written().join() === 'earlier', 'and its right is taken at once');
    }));
});
