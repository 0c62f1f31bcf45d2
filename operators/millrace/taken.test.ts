import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { KubeObject, Resource } from '#runtime/objects.ts';
import { eventually } from '#test/eventually.ts';
import { eventServices, kafkaTopics, kafkaUsers } from './api/kinds.ts';
import { eventServiceWorld } from './testing/event-services.ts';
import type { EventServiceWorld } from './testing/event-services.ts';
import { kstatusOf } from './testing/kstatus.ts';
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
});
