import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Resource } from '#runtime/objects.ts';
import type { EventServiceSpec } from '#platform/declaration-schema';
import { eventually } from '#test/eventually.ts';
import { deployments, eventServices, kafkaTopics, kafkaUsers } from '../api/kinds.ts';
import { eventServiceWorld } from '../testing/event-services.ts';
import { strimziAnswers, strimziSays } from '../testing/strimzi.ts';
import { namespace } from '../testing/world.ts';

const groupLag = 100;
const pods = 7;
const kafka = { cluster: 'millrace' };

/** What the operator does to a Deployment of 7 pods whose service is 100 events behind, in 6 partitions. */
async function reconciled(spec: Partial<EventServiceSpec>): Promise<{ replicas: number | undefined; paths: string[] }> {
  const lagReader = {
    read: () => Promise.resolve({ lag: groupLag, partitions: new Map([['order-events', 6]]) }),
  };
  const world = await eventServiceWorld(() => ({ lagReader }));
  const { server, declare, service } = world;
  const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'orders', namespace } };
  server.create(deployments, { ...deployment, spec: { replicas: pods } } as never);
  const databases = [{ name: 'orders-read', schema: 'prisma/orders-read' }];
  const consumes = [{ group: 'orders-projection', topics: ['order-events'], database: 'orders-read' }];
  declare('orders', { databases, consumes, kafka, ...spec });
  try {
    await eventually(() => service('orders')?.status?.lag === groupLag, 'the status has the lag');
    const paths = server.requests.map(({ path }) => path).filter((path) => path.includes('/deployments/'));
    const found = server.find<Resource<{ replicas?: number }>>(deployments, namespace, 'orders');
    return { replicas: found?.spec.replicas, paths };
  } finally {
    await world.stop();
  }
}

describe('the pods of a service', () => {
  it('are as many as its lag needs, if the service scales', async () => {
    const scaling = { minReplicas: 2, lagPerReplica: 50, maxReplicas: 6, stabilization: '5m' };
    const { replicas } = await reconciled({ scaling });
    assert.equal(replicas, 6, 'the partitions');
  });

  it('are nobody’s business otherwise: an autoscaler of one’s own decides', async () => {
    assert.deepEqual(await reconciled({}), { replicas: pods, paths: [] });
  });
});

it('a second service that is to run the stream queries says that it does not, until the first one does no more', async () => {
  const world = await eventServiceWorld();
  const { server, declare, condition } = world;
  try {
    declare('analytics', { streamQueries: true });
    await eventually(() => condition('analytics', 'Ready')?.status === 'True', 'the first one is ready');
    declare('more', { streamQueries: true });
    await eventually(() => condition('more', 'Stalled')?.reason === 'RunnerTaken', 'the second one is not');
    assert.match(condition('more', 'Ready')!.message, /^analytics runs the stream queries of the namespace/);
    assert.equal(condition('analytics', 'Ready')?.status, 'True');
    server.delete(eventServices, namespace, 'analytics');
    await eventually(() => condition('more', 'Ready')?.status === 'True', 'it takes over', 1_500);
    assert.equal(condition('more', 'QueriesRunning'), undefined);
  } finally {
    await world.stop();
  }
});

it('the service that runs the stream queries keeps its rights until somebody knows what these emit to', async () => {
  const world = await eventServiceWorld();
  const { server, declare, condition, emittedTopics } = world;
  const user = () => server.find<Resource<object>>(kafkaUsers, namespace, 'analytics');
  const mayWrite = (topic: string) => JSON.stringify(user()?.spec).includes(`"name":"${topic}"`);
  const produces = (topic: string) => [{ topic, partitions: 6, retention: -1 }];
  try {
    declare('analytics', { kafka, streamQueries: true, produces: produces('first') });
    await eventually(() => condition('analytics', 'UserReady')?.reason === 'UserNotReady', 'it waits');
    assert.equal(user(), undefined);
    emittedTopics.set(namespace, new Set(['results']));
    await eventually(() => user() && mayWrite('results'), 'it may write what they emit to');
    strimziAnswers(server, kafkaUsers, { namespace, name: 'analytics' }, strimziSays.ready);
    await eventually(() => condition('analytics', 'UserReady')?.reason === 'Created', 'its user is ready');
    emittedTopics.clear(); // as another leader begins
    server.patch(eventServices, namespace, 'analytics', { spec: { produces: produces('second') } });
    await eventually(() => server.find(kafkaTopics, namespace, 'second'), 'it is looked at again');
    assert.ok(mayWrite('results') && !mayWrite('second'), 'its rights stay as they are');
    assert.equal(condition('analytics', 'UserReady')?.status, 'True');
    emittedTopics.set(namespace, new Set(['results']));
    await eventually(() => mayWrite('second'), 'it has its rights');
    assert.ok(mayWrite('results'));
  } finally {
    await world.stop();
  }
});

describe('a failure of Strimzi', () => {
  const topic = { namespace, name: 'order-events' };
  const user = { namespace, name: 'orders' };
  const fewer = 'Decreasing partitions not supported';

  for (const shape of ['readyFalse', 'notReadyTrue'] as const) {
    it(`is told with its reason and its message where Strimzi writes it as ${shape}`, async () => {
      const world = await eventServiceWorld();
      const { server, declare, condition } = world;
      try {
        declare('orders', { kafka, produces: [{ topic: topic.name, partitions: 6, retention: -1 }] });
        await eventually(() => server.find(kafkaTopics, namespace, topic.name), 'the topic is created');
        await eventually(() => server.find(kafkaUsers, namespace, user.name), 'the user is created');
        strimziAnswers(server, kafkaTopics, topic, strimziSays.ready);
        strimziAnswers(server, kafkaUsers, user, strimziSays.ready);
        await eventually(() => condition('orders', 'Ready')?.status === 'True', 'it is ready');

        strimziAnswers(server, kafkaTopics, topic, strimziSays[shape]('NotSupported', fewer));
        await eventually(() => condition('orders', 'TopicsReady')?.status === 'False', 'the topic has failed');
        for (const type of ['TopicsReady', 'Ready']) {
          const { reason, message } = condition('orders', type)!;
          assert.deepEqual([reason, message], ['NotSupported', `order-events: ${fewer}`], type);
        }

        strimziAnswers(server, kafkaTopics, topic, strimziSays.ready);
        strimziAnswers(server, kafkaUsers, user, strimziSays[shape]('InvalidResourceException', 'no password'));
        await eventually(() => condition('orders', 'UserReady')?.status === 'False', 'the user has failed');
        const { reason, message } = condition('orders', 'UserReady')!;
        assert.deepEqual([reason, message], ['InvalidResourceException', 'orders: no password']);
        assert.ok((await world.events()).includes(`Warning NotSupported: order-events: ${fewer}`));
      } finally {
        await world.stop();
      }
    });
  }
});

it('a service that produces and consumes nothing any more has no rights in its Kafka', async () => {
  const world = await eventServiceWorld();
  const { server, declare, condition } = world;
  const acls = () =>
    server.find<Resource<{ authorization: { acls: object[] } }>>(kafkaUsers, namespace, 'orders')?.spec.authorization
      .acls;
  try {
    declare('orders', { kafka, produces: [{ topic: 'order-events', partitions: 6, retention: -1 }] });
    await eventually(() => acls()?.length, 'it has rights');
    server.patch(eventServices, namespace, 'orders', { spec: { produces: [] } });
    await eventually(() => acls()?.length === 0, 'it has none');
    await eventually(() => condition('orders', 'UserReady')?.reason === 'NoKafka', 'it needs no user');
    assert.equal(condition('orders', 'Ready')?.status, 'True');
  } finally {
    await world.stop();
  }
});

describe('a cluster without a kind of Strimzi', () => {
  const produces = [{ topic: 'order-events', partitions: 6, retention: -1 }];
  const user = { namespace, name: 'orders' };

  it('has services that say so and others that are ready, until it gets the kind', async () => {
    let isMissing = true;
    const world = await eventServiceWorld(
      () => ({}),
      undefined,
      (server) => server.fail(404, Infinity, ({ path }) => isMissing && path.includes('/kafkatopics')),
    );
    const { server, declare, condition } = world;
    const topics = () => condition('orders', 'TopicsReady');
    try {
      declare('gateway', {});
      declare('orders', { kafka, produces });
      await eventually(() => condition('gateway', 'Ready')?.status === 'True', 'who needs no topics is ready');
      await eventually(() => topics()?.reason === 'StrimziMissing', 'who needs some says so');
      assert.equal(topics()!.message, 'the cluster has no KafkaTopic of kafka.strimzi.io/v1: install Strimzi');
      await eventually(() => server.find(kafkaUsers, namespace, 'orders'), 'the kind that is there is used');

      isMissing = false;
      await eventually(() => server.find(kafkaTopics, namespace, 'order-events'), 'the topic is created', 15_000);
      strimziAnswers(server, kafkaTopics, { namespace, name: 'order-events' }, strimziSays.ready);
      strimziAnswers(server, kafkaUsers, user, strimziSays.ready);
      await eventually(() => condition('orders', 'Ready')?.status === 'True', 'it is ready');

      isMissing = true;
      server.endWatches();
      await eventually(() => topics()?.reason === 'StrimziMissing', 'the kind is gone again', 15_000);
      assert.equal(condition('gateway', 'Ready')?.status, 'True');
    } finally {
      await world.stop();
    }
  });
});
