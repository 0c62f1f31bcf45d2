import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import pino from 'pino';

import type { EventServiceSpec } from '#platform/declaration-schema';
import { createKafkaManager } from '#platform/kafka';
import type { KafkaManager } from '#platform/kafka';
import type { Api } from '#runtime/api.ts';
import type { KubeObject } from '#runtime/objects.ts';
import { ManualClock } from '#runtime/testing/manual-clock.ts';
import { eventually } from '#test/eventually.ts';
import { testKafka } from '#test/kafka.ts';
import { apiVersion } from '../api/common.ts';
import { configMaps, eventServices, kafkaTopics, kafkaUsers, streamQueries } from '../api/kinds.ts';
import type { ConfigMap } from '../informers.ts';
import { StreamQueryControllers } from '../stream-query/controllers.ts';
import { eventServiceWorld } from '../testing/event-services.ts';
import type { EventServiceWorld } from '../testing/event-services.ts';
import { namespace } from '../testing/world.ts';
import { ExternalKafka } from './external-kafka.ts';
import { recordsName } from './topic-records.ts';

const { brokers } = testKafka();
const external = { bootstrapServers: brokers };
const unique = (name: string) => `${name}-${randomBytes(4).toString('hex')}`;

describe('the topics of a service in an external Kafka', () => {
  const clock = new ManualClock();
  let world: EventServiceWorld;
  let kafka: KafkaManager;
  before(async () => {
    const connection = { brokers: brokers.split(','), clientId: 'tests', log: pino({ enabled: false }) };
    kafka = createKafkaManager(connection);
    world = await eventServiceWorld(() => ({}), clock);
  });
  after(async () => {
    await world.stop();
    await kafka.close();
  });

  const declare = (name: string, topic: string, spec: Partial<EventServiceSpec> = {}) =>
    world.declare(name, {
      kafka: { external },
      produces: [{ topic, partitions: 2, retention: '7d' }],
      ...spec,
    });
  /** Lets time pass until a service is as a test expects it. */
  const until = (name: string, status: string, reason: string) =>
    eventually(async () => {
      await clock.advance(1_000);
      const found = world.condition(name, 'TopicsReady');
      return found?.status === status && found.reason === reason && found;
    }, `the topics of ${name} are ${reason}`);
  const records = () => world.server.find<ConfigMap>(configMaps, namespace, recordsName)?.data ?? {};
  const removed = (name: string) =>
    eventually(async () => {
      await clock.advance(1_000);
      return !world.service(name);
    }, `${name} is gone`);
  /** Some settings of a topic. */
  const settingsOf = async (topic: string, ...names: string[]) => {
    const config = await kafka.config(topic);
    return names.map((name) => config[name]);
  };

  it('are created with what is declared, and corrected where somebody changes it', async () => {
    const [name, topic, group] = [unique('orders'), unique('events'), unique('group')];
    declare(name, topic, { consumes: [{ group, topics: [topic], database: 'd' }] });
    await until(name, 'True', 'Created');
    const made = await kafka.topic(topic);
    assert.deepEqual([made?.partitions, made?.replicas], [2, 1], 'as many replicas as brokers');
    assert.equal((await kafka.topic(`${group}.dead-letters`))?.partitions, 1);
    const declared = ['retention.ms', 'max.message.bytes', 'min.insync.replicas'];
    // a broker may tell of a change a moment later
    const isDeclared = async () =>
      (await settingsOf(topic, ...declared)).join() === [String(7 * 86_400_000), String(4 << 20), '1'].join();
    await eventually(isDeclared, 'it has what is declared');
    assert.equal(records()[topic], `EventService/${name} ${made!.id}`);

    await kafka.changeConfig(topic, { 'retention.ms': '1000', 'segment.ms': '60000' });
    await eventually(async () => {
      await clock.advance(10_000);
      return (await settingsOf(topic, 'retention.ms'))[0] === String(7 * 86_400_000);
    }, 'the retention is corrected');
    assert.deepEqual(await settingsOf(topic, 'segment.ms'), ['60000'], 'what is not declared stays');

    world.server.patch(eventServices, namespace, name, {
      spec: { produces: [{ topic, partitions: 3, retention: '7d' }] },
    });
    await eventually(async () => (await kafka.topic(topic))?.partitions === 3, 'it has more partitions');
    await kafka.addPartitions(topic, 4);
    const { message } = await until(name, 'False', 'NotSupported');
    assert.match(message, /has 4 partitions, and Kafka cannot take any away: declare 4/);
    assert.deepEqual([world.server.all(kafkaTopics), world.server.all(kafkaUsers)], [[], []]);
  });

  it('are not touched where nobody known has made them, until somebody hands them over', async () => {
    const [name, topic] = [unique('orders'), unique('theirs')];
    await kafka.createTopic({ name: topic, partitions: 1, replicas: 1, config: { 'retention.ms': '5000' } });
    declare(name, topic, { deletionPolicy: 'Delete' });
    const { message } = await until(name, 'False', 'TopicTaken');
    assert.match(message, new RegExp(`the topic ${topic} exists in Kafka, and Millrace has not made it`));
    const data = { [topic]: `EventService/${name}` };
    const patch = `kubectl --namespace ${namespace} patch configmap kafka-topics --type merge --patch '${JSON.stringify({ data })}'`;
    assert.ok(message.endsWith(patch), message);
    assert.deepEqual([(await kafka.topic(topic))?.partitions, await settingsOf(topic, 'retention.ms')], [1, ['5000']]);
    world.server.delete(eventServices, namespace, name);
    await removed(name);
    assert.ok(await kafka.topic(topic), 'it is not deleted');

    declare(name, topic);
    await until(name, 'False', 'TopicTaken');
    world.server.patch(configMaps, namespace, recordsName, { data });
    await until(name, 'True', 'Created');
    const { id, partitions } = (await kafka.topic(topic))!;
    assert.deepEqual([partitions, records()[topic]], [2, `EventService/${name} ${id}`]);
  });

  it('are one service’s alone, and the next one’s when that is deleted', async () => {
    const [first, second, topic] = [unique('first'), unique('second'), unique('shared')];
    declare(first, topic);
    await until(first, 'True', 'Created');
    declare(second, topic);
    const { message } = await until(second, 'False', 'TopicTaken');
    assert.match(message, new RegExp(`the topic ${topic} belongs to EventService/${first}`));
    world.server.delete(eventServices, namespace, first);
    await until(second, 'True', 'Created');
    assert.match(records()[topic]!, new RegExp(`^EventService/${second} `));
  });

  it('are deleted with a service that says so, unless somebody has made them anew', async () => {
    const [name, topic, anew] = [unique('orders'), unique('gone'), unique('anew')];
    const produces = [topic, anew].map((one) => ({ topic: one, partitions: 1, retention: -1 }));
    declare(name, topic, { produces, deletionPolicy: 'Delete' });
    await until(name, 'True', 'Created');
    await kafka.deleteTopic(anew);
    await eventually(async () => !(await kafka.topic(anew)), 'it is gone');
    const made = await kafka.createTopic({ name: anew, partitions: 1, replicas: 1, config: {} });
    const { message } = await until(name, 'False', 'TopicTaken');
    assert.match(message, new RegExp(`the topic ${anew} was deleted and created again, and not by Millrace`));
    world.server.delete(eventServices, namespace, name);
    await removed(name);
    await eventually(async () => !(await kafka.topic(topic)), 'it is deleted');
    assert.equal((await kafka.topic(anew))?.id, made!.id);
    assert.deepEqual([records()[topic], records()[anew]], [undefined, undefined]);
  });

  it('are kept where the API server is slower than Kafka may be', async (t) => {
    const [name, topic] = [unique('orders'), unique('slow')];
    await kafka.createTopic({ name: topic, partitions: 2, replicas: 1, config: {} });
    const { api } = world.context;
    const slow = Object.assign(Object.create(api) as Api, {
      get: api.get.bind(api),
      patch(...request: Parameters<Api['patch']>) {
        t.mock.timers.tick(15_000);
        return api.patch(...request);
      },
    });
    const externalKafka = new ExternalKafka({ ...world.context, api: slow }, pino({ enabled: false }));
    t.after(() => externalKafka.close());
    world.server.patch(configMaps, namespace, recordsName, { data: { [topic]: `EventService/${name}` } });
    const metadata = { namespace, name };
    const spec = { port: 8080, kafka: { external }, produces: [{ topic, partitions: 2, retention: '7d' }] };
    const service = { apiVersion, kind: 'EventService', metadata, spec };
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const condition = await externalKafka.topics(service, external, new AbortController().signal);
    assert.deepEqual([condition.reason, condition.message], ['Created', '']);
    assert.match(records()[topic]!, /^EventService\/orders-\w+ \w{32}$/);
  });

  /** Keeps topics of a service through an API server. @param onWrite happens before a record is written */
  const keeping = (declared: readonly string[], onWrite: () => void | Promise<void>) => {
    const slowClock = new ManualClock();
    const { api } = world.context;
    const slow = Object.assign(Object.create(api) as Api, {
      get: api.get.bind(api),
      apply: api.apply.bind(api),
      async patch(...request: Parameters<Api['patch']>) {
        await onWrite();
        return await api.patch(...request);
      },
    });
    const externalKafka = new ExternalKafka(
      { ...world.context, api: slow, clock: slowClock },
      pino({ enabled: false }),
    );
    const produces = declared.map((topic) => ({ topic, partitions: 1, retention: '7d' }));
    const metadata = { namespace, name: unique('orders') };
    const service = { apiVersion, kind: 'EventService', metadata, spec: { port: 8080, kafka: { external }, produces } };
    const keep = (signal = new AbortController().signal) => externalKafka.topics(service, external, signal);
    return { keep, slowClock, close: () => externalKafka.close() };
  };

  it('are kept over several attempts where each takes long, and are in the meantime as they were', async (t) => {
    const declared = [unique('a'), unique('b'), unique('c')];
    const { keep, slowClock, close } = keeping(declared, () => void slowClock.advance(11_000));
    t.after(close);
    const isKept = async () => {
      const found = await Promise.all(declared.map((topic) => kafka.topic(topic)));
      return found.map((topic) => topic !== undefined);
    };
    for (const expected of [
      ['KafkaSlow', true, false, false],
      ['KafkaSlow', true, true, false],
      ['Created', true, true, true],
    ]) {
      const { reason } = await keep();
      assert.deepEqual([reason, ...(await isKept())], expected);
      await slowClock.advance(5_000);
    }
    const [first = '', , last = ''] = declared;
    await kafka.deleteTopic(first);
    await eventually(async () => !(await kafka.topic(first)), 'it is gone');
    await kafka.changeConfig(last, { 'retention.ms': '1000' });
    for (const retention of ['1000', String(7 * 86_400_000)]) {
      await slowClock.advance(30_000);
      assert.equal((await keep()).reason, 'Created');
      assert.deepEqual(await isKept(), [true, true, true]);
      // a broker may tell of a change a moment later
      const isSet = async () => (await settingsOf(last, 'retention.ms')).join() === retention;
      await eventually(isSet, `it is kept for ${retention} ms`);
    }
  });

  it('are left as they are when the operator stops', async (t) => {
    const declared = [unique('a'), unique('b')];
    const [first = '', second = ''] = declared;
    const stop = new AbortController();
    const { keep, close } = keeping(declared, async () => {
      if (await kafka.topic(first)) stop.abort(new Error('the lease is lost'));
    });
    t.after(close);
    await assert.rejects(keep(stop.signal), /the lease is lost/);
    const { id } = (await kafka.topic(first))!;
    assert.ok(records()[first]!.endsWith(` ${id}`), 'what is made is recorded');
    assert.equal(await kafka.topic(second), undefined);
  });

  it('are known although the operator ends, or its API server fails, when Kafka has made them', async (t) => {
    const topic = unique('lost');
    let isLost = false;
    const { keep, slowClock, close } = keeping([topic], async () => {
      if (isLost || !(await kafka.topic(topic))) return;
      isLost = true;
      throw new Error('etcdserver: request timed out');
    });
    t.after(close);
    await assert.rejects(keep(), /etcdserver/);
    await slowClock.advance(5_000);
    assert.equal((await keep()).reason, 'Created');
    const { id } = (await kafka.topic(topic))!;
    assert.match(records()[topic]!, new RegExp(`^EventService/orders-\\w+ ${id}$`));
  });

  it('are not taken for its own where somebody else makes them at the same moment', async (t) => {
    const topic = unique('theirs');
    const { keep, slowClock, close } = keeping([topic], async () => {
      if (!(await kafka.topic(topic)))
        await kafka.createTopic({ name: topic, partitions: 1, replicas: 1, config: { 'retention.ms': '5000' } });
    });
    t.after(close);
    for (let attempt = 0; attempt < 2; attempt += 1) {
      assert.equal((await keep()).reason, 'TopicTaken');
      assert.deepEqual([records()[topic], await settingsOf(topic, 'retention.ms')], [undefined, ['5000']]);
      await slowClock.advance(5_000);
    }
  });

  it('are not taken for its own, nor deleted, where an attempt to make them had no answer, and somebody else does', async () => {
    const [first, second, topic] = [unique('orders'), unique('orders'), unique('unclear')];
    const begun = (name: string) =>
      world.server.patch(configMaps, namespace, recordsName, {
        data: { [topic]: `EventService/${name} retention.ms=604799000` },
      });
    await kafka.createTopic({ name: topic, partitions: 1, replicas: 1, config: { 'retention.ms': '5000' } });
    begun(first);
    declare(first, topic, { deletionPolicy: 'Delete' });
    const { message } = await until(first, 'False', 'TopicTaken');
    assert.match(message, /exists in Kafka, and Millrace has not made it in this namespace; to hand over: kubectl/);
    assert.equal(records()[topic], undefined);
    begun(first);
    world.server.delete(eventServices, namespace, first);
    await removed(first);
    assert.deepEqual([(await kafka.topic(topic))?.partitions, await settingsOf(topic, 'retention.ms')], [1, ['5000']]);

    await kafka.changeConfig(topic, { 'retention.ms': '604799000' });
    await eventually(async () => (await settingsOf(topic, 'retention.ms')).join() === '604799000', 'it is proven');
    begun(second);
    declare(second, topic);
    await until(second, 'True', 'Created');
    assert.equal(records()[topic], `EventService/${second} ${(await kafka.topic(topic))!.id}`);
  });

  it('are not taken for its own where Kafka has refused to make them, and somebody else does', async () => {
    const [name, topic] = [unique('orders'), unique('refused')];
    declare(name, topic, { kafka: { external, replicas: 5 } });
    await until(name, 'False', 'KafkaRefused');
    assert.equal(records()[topic], undefined);
    await kafka.createTopic({ name: topic, partitions: 1, replicas: 1, config: {} });
    await until(name, 'False', 'TopicTaken');
    assert.equal((await kafka.topic(topic))?.partitions, 1);
  });

  it('that only stream queries declare are made, too', async () => {
    const [name, topic, taken] = [unique('analytics'), unique('emitted'), unique('taken')];
    const [gone, kept] = [unique('billing'), unique('kept')];
    declare(gone, kept, { produces: [{ topic: kept, partitions: 1, retention: -1 }] });
    await until(gone, 'True', 'Created');
    world.server.delete(eventServices, namespace, gone);
    await eventually(() => !world.service(gone), 'the service is gone');
    await kafka.createTopic({ name: taken, partitions: 1, replicas: 1, config: {} });
    const { context, metrics, server } = world;
    const queries = new StreamQueryControllers(context, () => Promise.resolve([]), metrics, world);
    await world.start(...queries.controllers);
    const source = unique('source');
    declare(name, source, {
      streamQueries: true,
      consumes: [{ group: unique('g'), topics: [source], database: 'd' }],
    });
    const emitting = (to: string) => {
      const spec = { from: [{ topic: source }], window: { tumbling: '1h' }, emit: { to } };
      const metadata = { namespace, name: to };
      const query = { apiVersion: 'millrace.dev/v1beta1', kind: 'StreamQuery', metadata };
      server.create(streamQueries, { ...query, spec: { ...spec, select: [{ name: 'n', count: true }] } } as KubeObject);
    };
    emitting(topic);
    emitting(taken);
    emitting(kept);
    await eventually(() => kafka.topic(topic), 'it is created');
    await eventually(() => records()[topic]?.startsWith('StreamQueries '), 'it is recorded');
    const readyOf = (query: string) => {
      const found = server.find<KubeObject & { status?: EventServiceWorldStatus }>(streamQueries, namespace, query);
      return found?.status?.conditions?.find(({ type }) => type === 'Ready');
    };
    await eventually(async () => {
      await clock.advance(1_000);
      return [topic, taken, kept].map((query) => readyOf(query)?.reason).join() === 'Starting,TopicTaken,TopicTaken';
    }, 'each says how its topic is');
    assert.deepEqual(
      await settingsOf(kept, 'retention.ms'),
      ['-1'],
      'the topic of a service that is gone stays as it is',
    );
    const files = () => Object.keys(server.find<ConfigMap>(configMaps, namespace, 'stream-queries')?.data ?? {});
    const emitted = () => [...(world.emittedTopics.of(namespace, external) ?? [])];
    await eventually(() => files().length > 0, 'it is passed on');
    assert.deepEqual([files(), emitted()], [[`${topic}.yaml`], [topic]], 'and nothing that would write to another’s');
    server.patch(configMaps, namespace, recordsName, { data: { [taken]: 'StreamQueries' } });
    await eventually(async () => {
      await clock.advance(1_000);
      return files().includes(`${taken}.yaml`) && emitted().includes(taken);
    }, 'what is handed over is passed on');
  });
});

interface EventServiceWorldStatus {
  conditions?: { type: string; reason: string }[];
}

it('an external Kafka that does not answer is told, and what it needs', async () => {
  const world = await eventServiceWorld();
  try {
    const nowhere = { bootstrapServers: '127.0.0.1:1' };
    const produces = [{ topic: 't', partitions: 1, retention: -1 }];
    world.declare('orders', { kafka: { external: nowhere }, produces });
    const sasl = { mechanism: 'SCRAM-SHA-512', secretRef: { name: 'mine' } } as const;
    world.declare('users', { kafka: { external: { ...nowhere, sasl } }, produces });
    world.declare('alerts', { kafka: { external: { ...nowhere, tls: { caSecretRef: { name: 'ca' } } } }, produces });
    const message = async (name: string, reason: string) => {
      await eventually(() => world.condition(name, 'Ready')?.reason === reason, `${name} says ${reason}`);
      return world.condition(name, 'Ready')!.message;
    };
    assert.match(
      await message('orders', 'KafkaUnavailable'),
      /no Kafka broker answers at 127\.0\.0\.1:1: .*ECONNREFUSED/,
    );
    assert.equal(await message('users', 'NoKafkaLogin'), 'the Secret mine does not exist');
    assert.equal(await message('alerts', 'NoCertificates'), 'the Secret ca does not exist, or has no ca.crt');
  } finally {
    await world.stop();
  }
});
