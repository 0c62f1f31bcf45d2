import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import type { KubeObject } from '#runtime/objects.ts';
import { eventually } from '#test/eventually.ts';
import { apiVersion } from '../api/common.ts';
import { eventServices, kafkaTopics, streamQueries } from '../api/kinds.ts';
import { madeForLabel, madeForQueryLabel, managedBy } from '../labels.ts';
import type { KafkaTopic } from '../strimzi.ts';
import { createWorld, namespace } from '../testing/world.ts';
import type { World } from '../testing/world.ts';
import { keepQueryTopics } from './topics.ts';

const asOfQueries = { partitions: 6, config: { 'retention.ms': String(7 * 86_400_000) } };

describe('the KafkaTopic of a topic that queries emit to', () => {
  let world: World;
  before(async () => {
    world = await createWorld();
    const { server, context } = world;
    const spec = { port: 8080 };
    for (const name of ['orders', 'both'])
      server.create(eventServices, {
        apiVersion,
        kind: 'EventService',
        metadata: { namespace, name },
        spec,
      } as KubeObject);
    for (const name of ['both', 'earlier'])
      server.create(streamQueries, {
        apiVersion,
        kind: 'StreamQuery',
        metadata: { namespace, name },
        spec: {},
      } as KubeObject);
    await world.start();
    const { eventServices: services, streamQueries: queries } = context;
    await eventually(() => services.store.size === 2 && queries.store.size === 2, 'the operator knows them');
  });
  after(() => world.stop());

  const found = (name: string) => world.server.find<KafkaTopic>(kafkaTopics, namespace, name);
  /** Somebody has made a KafkaTopic that the operator may change. */
  const there = (name: string, labels: Record<string, string>, spec?: object) =>
    world.server.create(kafkaTopics, {
      apiVersion: 'kafka.strimzi.io/v1',
      kind: 'KafkaTopic',
      metadata: { namespace, name, labels: { ...managedBy, 'strimzi.io/cluster': 'millrace', ...labels } },
      ...(spec && { spec }),
    } as KubeObject);
  /** @returns of each topic whether it was made for queries, or why not */
  const keep = async (...topics: string[]) => {
    const kept = await keepQueryTopics(
      world.context,
      { namespace, cluster: 'millrace', replicas: undefined },
      new Map(topics.map((topic) => [topic, 'a-query'])),
      new AbortController().signal,
    );
    return [...kept.values()].map(({ isOwn, message }) => (isOwn ? 'made' : message));
  };

  it('is that of one topic alone, whose names in Kubernetes may be the same', async () => {
    const taken = 'the KafkaTopic alerts-topic is that of the topic Alerts: emit to another topic';
    assert.deepEqual(await keep('Alerts', 'alerts_'), ['made', taken]);
    await eventually(() => world.context.kafkaTopics.store.get(`${namespace}/alerts-topic`), 'the operator knows it');
    world.server.forget();
    assert.deepEqual(await keep('alerts_', 'Alerts'), [taken, 'made']);
    assert.deepEqual(world.server.writes, []);

    there('order-events-topic', { [madeForLabel]: 'orders' }, { topicName: 'Order_Events', ...asOfQueries });
    assert.deepEqual(await keep('order-events-topic'), [
      'the KafkaTopic order-events-topic is that of the topic Order_Events: emit to another topic',
    ]);
    assert.equal(found('order-events-topic')?.spec.topicName, 'Order_Events');
  });

  it('is not that of a service, also where it looks like one of a query and the service is gone', async () => {
    there('of-orders', { [madeForLabel]: 'orders' }, asOfQueries);
    there('of-both', { [madeForLabel]: 'both' }, asOfQueries);
    there('of-billing', { [madeForLabel]: 'billing' }, asOfQueries);
    there('of-nobody', {}, { partitions: 6 });
    there('of-earlier', { [madeForLabel]: 'earlier' }, asOfQueries);
    there('with-defaults', { [madeForLabel]: 'earlier' }, { partitions: 6 });
    there('without-spec', { [madeForLabel]: 'earlier' });
    const topics = ['of-orders', 'of-both', 'of-billing', 'of-nobody', 'of-earlier', 'with-defaults', 'without-spec'];
    const madeFor = (name: string, whose: string) =>
      `the KafkaTopic ${name} was made for ${whose}: emit to another topic, or declare it in spec.produces of an EventService`;
    assert.deepEqual(await keep(...topics), [
      madeFor('of-orders', 'orders'),
      madeFor('of-both', 'both'),
      madeFor('of-billing', 'billing'),
      madeFor('of-nobody', 'a service'),
      'made',
      madeFor('with-defaults', 'earlier'),
      madeFor('without-spec', 'earlier'),
    ]);
    const changed = topics.filter((name) => found(name)?.metadata.labels?.[madeForQueryLabel] !== undefined);
    assert.deepEqual(changed, ['of-earlier']);
  });
});
