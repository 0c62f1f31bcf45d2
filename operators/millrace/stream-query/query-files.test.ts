import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';

import type { Resource } from '#runtime/objects.ts';
import { ManualClock } from '#runtime/testing/manual-clock.ts';
import { eventually } from '#test/eventually.ts';
import { configMaps, eventServices, kafkaTopics, streamQueries } from '../api/kinds.ts';
import type { EventService } from '../api/event-service.ts';
import type { ExternalKafkaSpec } from '../external-kafka/connection.ts';
import type { ConfigMap } from '../informers.ts';
import { madeForQueryLabel, manager } from '../labels.ts';
import type { KafkaTopic, StrimziReadiness } from '../strimzi.ts';
import { kstatusOf } from '../testing/kstatus.ts';
import { streamQueryWorld } from '../testing/stream-queries.ts';
import type { StreamQueryWorld } from '../testing/stream-queries.ts';
import { namespace } from '../testing/world.ts';
import { configMapOf } from './config-map.ts';

const kafka = { cluster: 'millrace' };
const external = { bootstrapServers: '127.0.0.1:1' };
const clusterLabel = 'strimzi.io/cluster';
const emitting = (to: string) => ({ emit: { to } });

async function inWorld(
  test: (world: StreamQueryWorld) => Promise<void>,
  ...options: Parameters<typeof streamQueryWorld>
): Promise<void> {
  const world = await streamQueryWorld(...options);
  try {
    await test(world);
  } finally {
    await world.stop();
  }
}

describe('the topics that queries emit to', () => {
  it('hold up no other query where the API server refuses one, and stay whose they are', () => {
    let refused = 'alerts-';
    const isRefused = ({ verb, path }: { verb: string; path: string }) =>
      verb === 'patch' && path.endsWith(`/kafkatopics/${refused}`);
    return inWorld(
      async ({ server, context, emittedTopics, runner, query, ready, files, written }) => {
        const partitions = () => context.kafkaTopics.store.get(`${namespace}/mine`)?.spec.partitions;
        runner({ kafka });
        query('alerts', emitting('alerts-'));
        query('mine', emitting('mine'));
        query('plain');
        await eventually(() => ready('alerts')?.reason === 'ReconcileRefused', 'the query says so');
        assert.match(ready('alerts')!.message, /422/);
        await eventually(() => files().join() === 'mine,plain', 'the others are passed on');
        await eventually(() => written().join() === 'mine', 'and have their rights');
        await eventually(() => ready('mine')?.reason === 'TopicNotReady', 'one of them waits for Strimzi alone');

        refused = 'mine';
        emittedTopics.clear(); // as another leader begins
        server.patch(kafkaTopics, namespace, 'mine', { spec: { partitions: 7 } });
        await eventually(() => partitions() === 7, 'somebody has changed it');
        query('more', emitting('mine'));
        await eventually(() => ready('more')?.reason === 'ReconcileRefused', 'its correction is refused');
        await eventually(() => files().includes('more'), 'it is written nevertheless');
        assert.ok(emittedTopics.of(namespace)?.has('mine'));

        refused = 'none';
        query('last');
        await eventually(() => partitions() === 6, 'it is corrected');
        await eventually(() => files().join() === 'alerts,last,mine,more,plain', 'all are passed on');
        await eventually(() => written().join() === 'alerts-,mine', 'and have their rights');
      },
      (server) => server.fail(422, Infinity, isRefused),
    );
  });

  it('are tried ever more seldom where the API server refuses them', () => {
    const clock = new ManualClock();
    const triedAt: number[] = [];
    const isRefused = ({ verb, path }: { verb: string; path: string }) => {
      const isWrite = verb === 'patch' && path.endsWith('/kafkatopics/mine');
      if (isWrite) triedAt.push(clock.now());
      return isWrite;
    };
    return inWorld(
      async ({ runner, query, ready }) => {
        runner({ kafka });
        query('mine', emitting('mine'));
        await eventually(async () => {
          await clock.advance(1_000);
          return triedAt.length > 12;
        }, 'it is tried again and again');
        const pauses = triedAt.slice(1).map((at, i) => at - triedAt[i]!);
        assert.ok(pauses.at(-1)! >= 30_000, pauses.join());
        assert.equal(ready('mine')?.reason, 'ReconcileRefused');
      },
      (server) => server.fail(422, Infinity, isRefused),
      clock,
    );
  });

  it('keep their rights while the cluster does not have their kind', () => {
    let isMissing = false;
    let isGoing = false;
    const isWrite = ({ verb, path }: { verb: string; path: string }) =>
      verb === 'patch' && path.endsWith('/kafkatopics/mine');
    return inWorld(
      async ({ server, context, emittedTopics, runner, query, ready, files, written }) => {
        runner({ kafka });
        query('mine', emitting('mine'));
        await eventually(() => files().join() === 'mine' && written().join() === 'mine', 'it may write');
        isGoing = true; // its definition is deleted, and its objects before that
        server.delete(kafkaTopics, namespace, 'mine');
        await eventually(() => !context.kafkaTopics.store.get(`${namespace}/mine`), 'the operator knows it');
        query('more');
        await eventually(
          () => ready('mine')?.reason === 'ReconcileRefused' && files().includes('more'),
          'it is refused',
        );
        assert.deepEqual([...(emittedTopics.of(namespace) ?? [])], ['mine']);
        isMissing = true;
        server.endWatches();
        await eventually(() => context.kafkaTopics.isAbsent, 'the kind is away');
        query('new', emitting('new'));
        query('plain');
        await eventually(() => files().includes('plain'), 'what needs no topic is passed on');
        assert.deepEqual(files(), ['mine', 'more', 'plain'], 'what runs goes on, and nothing begins to emit');
        assert.deepEqual([...(emittedTopics.of(namespace) ?? [])], ['mine']);
        emittedTopics.clear(); // as another leader begins
        query('second');
        await eventually(() => files().includes('second'), 'it is passed on');
        assert.equal(emittedTopics.of(namespace), undefined, 'nobody knows them');
        assert.deepEqual(written(), ['mine']);
      },
      (server) => {
        server.fail(404, Infinity, ({ path }) => isMissing && path.includes('/kafkatopics'));
        server.fail(405, Infinity, (request) => isGoing && isWrite(request));
      },
    );
  });

  it('are made when the cluster gets their kind, and looked at by nobody before', () => {
    const clock = new ManualClock();
    let isMissing = true;
    return inWorld(
      async ({ server, context, runner, query, ready, metricLines }) => {
        const passes = async () => {
          const lines = await metricLines('operator_reconciles_total{controller="query-files",result="success"}');
          return lines.join();
        };
        runner({ kafka });
        query('mine', emitting('mine'));
        await clock.until(() => ready('mine')?.reason === 'StrimziMissing', 'it says so');
        await clock.until(() => context.configMaps.store.size === 1, 'its namespace is looked at');
        const asked = () => server.requests.filter(({ path }) => path.includes('/kafkatopics')).length;
        const isAskedAgain = async () => {
          const end = asked() + 5;
          await clock.until(() => asked() > end, 'the operator asks for the kind again and again');
        };
        await isAskedAgain();
        const before = await passes();
        await isAskedAgain();
        assert.equal(await passes(), before);
        isMissing = false;
        await clock.until(() => server.find(kafkaTopics, namespace, 'mine'), 'it is made');
      },
      (server) => server.fail(404, Infinity, ({ path }) => isMissing && path.includes('/kafkatopics')),
      clock,
    );
  });

  it('are made again where somebody deletes them, and corrected where somebody changes them', () =>
    inWorld(async ({ server, runner, query }) => {
      const found = () => server.find<KafkaTopic>(kafkaTopics, namespace, 'mine');
      runner({ kafka });
      query('mine', emitting('mine'));
      await eventually(found, 'it is made');
      // of these, one or two may be seen because of something else
      for (let partitions = 7; partitions < 12; partitions += 1) {
        server.patch(kafkaTopics, namespace, 'mine', { spec: { partitions } });
        await eventually(() => found()?.spec.partitions === 6, 'it is corrected');
      }
      server.delete(kafkaTopics, namespace, 'mine');
      await eventually(found, 'it is made again');
    }));

  it('are somebody else’s where the label is taken away that says whose they are, and their own where it is back', () =>
    inWorld(async ({ server, context, runner, query, ready, files, written }) => {
      const known = () => context.kafkaTopics.store.get(`${namespace}/mine`)?.metadata.labels;
      const label = (labels: Record<string, string | null>) =>
        server.patch(kafkaTopics, namespace, 'mine', { metadata: { labels } });
      runner({ kafka });
      query('mine', emitting('mine'));
      const isPassedOn = () => files().join() === 'mine' && written().join() === 'mine';
      await eventually(isPassedOn, 'it is passed on, and has its right');
      label({ [clusterLabel]: 'another' });
      await eventually(() => known()?.[clusterLabel] === 'millrace', 'it is corrected');
      for (const taken of [madeForQueryLabel, 'app.kubernetes.io/managed-by']) {
        const value = known()![taken]!;
        label({ [taken]: null });
        await eventually(() => ready('mine')?.reason === 'TopicTaken', `without ${taken} nobody knows whose it is`);
        await eventually(() => files().length + written().length === 0, 'it is taken back');
        label({ [taken]: value });
        await eventually(isPassedOn, 'it is handed over');
      }
    }));

  it('keep the right of what no file emits to any more until every pod has heard of it', () => {
    const clock = new ManualClock();
    let isRefused = false;
    const isFile = ({ verb, path }: { verb: string; path: string }) =>
      verb === 'patch' && path.includes('/configmaps/');
    return inWorld(
      async ({ server, emittedTopics, runner, query, files, written }) => {
        runner({ kafka });
        query('moved', emitting('from'));
        query('deleted', emitting('gone'));
        query('stays', emitting('kept'));
        await clock.until(() => written().join() === 'from,gone,kept', 'they have their rights');
        await clock.until(() => files().length === 3, 'they are passed on');
        isRefused = true;
        server.patch(streamQueries, namespace, 'moved', { spec: { emit: { to: 'to' } } });
        server.delete(streamQueries, namespace, 'deleted');
        await clock.until(() => written().includes('to'), 'the operator knows it');
        for (let minutes = 0; minutes < 5; minutes += 1) await clock.advance(60_000);
        assert.deepEqual([files().length, written()], [3, ['from', 'gone', 'kept', 'to']], 'the files are as before');
        isRefused = false;
        await clock.until(() => files().length === 2, 'the files are written');
        const writtenAt = clock.now();
        await clock.until(() => written().join() === 'kept,to', 'their rights are taken');
        const afterMs = clock.now() - writtenAt;
        assert.ok(afterMs > 100_000, `after ${afterMs} ms`);
        server.delete(streamQueries, namespace, 'stays');
        emittedTopics.clear(); // as another leader begins
        await clock.until(() => files().length === 1, 'one more is deleted');
        assert.deepEqual(written(), ['kept', 'to'], 'it keeps its right, too');
        await clock.until(() => written().join() === 'to', 'until that is taken');
        query('again', emitting('gone'));
        await clock.until(() => written().includes('gone'), 'it gets its right again');
        for (let minutes = 0; minutes < 5; minutes += 1) await clock.advance(60_000);
        assert.deepEqual(written(), ['gone', 'to']);
      },
      (server) => server.fail(403, Infinity, (request) => isRefused && isFile(request)),
      clock,
    );
  });

  it('hold up no query that needs none of them, however long an external Kafka takes', (t) =>
    inWorld(async ({ externalKafka, runner, query, ready, files, emittedTopics }) => {
      const answer = Promise.withResolvers<StrimziReadiness>();
      const ask = t.mock.method(externalKafka, 'emittedTopic', () => answer.promise);
      t.mock.method(externalKafka, 'topicsOfQueries', () => Promise.resolve(new Set(['mine'])));
      runner({ kafka: { external } });
      query('mine', emitting('mine'));
      try {
        await eventually(() => ask.mock.callCount() > 0, 'Kafka is asked for its topic');
        await eventually(() => ready('mine')?.reason === 'TopicNotReady', 'the query waits for it');
        emittedTopics.clear(); // as another leader begins
        query('plain');
        await eventually(() => files().join() === 'plain', 'the other one is passed on');
        assert.equal(emittedTopics.of(namespace, external), undefined, 'nobody knows the topics, and the rights stay');
      } finally {
        answer.resolve({ ready: true, message: '' });
      }
      await eventually(() => files().join() === 'mine,plain', 'both are passed on');
      assert.deepEqual([...(emittedTopics.of(namespace, external) ?? [])], ['mine']);
    }));

  it('keep a right for its two minutes anew where another process has led meanwhile', () => {
    const clock = new ManualClock();
    return inWorld(
      async ({ server, emittedTopics, leadAgain, runner, query, files, written }) => {
        runner({ kafka });
        query('deleted', emitting('gone'));
        query('stays', emitting('kept'));
        await clock.until(() => written().join() === 'gone,kept' && files().length === 2, 'they are passed on');
        server.delete(streamQueries, namespace, 'deleted');
        await clock.until(() => files().join() === 'stays', 'its file is gone');
        // the other one has passed the query on again, and taken it back a moment ago
        await leadAgain(() => clock.advance(5 * 60_000));
        await clock.until(() => emittedTopics.of(namespace) !== undefined, 'its namespace is looked at');
        assert.deepEqual([...emittedTopics.of(namespace)!].toSorted(), ['gone', 'kept']);
        await clock.until(() => written().join() === 'kept', 'its right is taken');
      },
      undefined,
      clock,
    );
  });

  describe('that cannot be kept in an external Kafka', () => {
    const clock = new ManualClock();
    const failure = 'the records cannot be read';
    /** Has a query whose topic fails, in a Kafka that answers nothing more until the test is over. */
    const whereOneFails = (mock: TestContext['mock'], test: (world: StreamQueryWorld) => Promise<void>) =>
      inWorld(
        async (world) => {
          const { externalKafka, runner, query, ready } = world;
          const answer = Promise.withResolvers<StrimziReadiness>();
          const ask = mock.method(externalKafka, 'emittedTopic', () => Promise.reject(new Error(failure)));
          runner({ kafka: { external } });
          query('mine', emitting('mine'));
          try {
            await eventually(async () => {
              await clock.advance(200);
              return ready('mine')?.message === failure;
            }, 'it says so');
            ask.mock.mockImplementation(() => answer.promise);
            await test(world);
          } finally {
            answer.resolve({ ready: true, message: '' });
          }
        },
        undefined,
        clock,
      );

    it('fail no longer where the service goes to Strimzi', (t) =>
      whereOneFails(t.mock, async ({ server, ready }) => {
        server.patch(eventServices, namespace, 'analytics', { spec: { kafka: { external: null, ...kafka } } });
        await eventually(() => server.find(kafkaTopics, namespace, 'mine'), 'it is one of Strimzi');
        await eventually(() => ready('mine')?.reason === 'TopicNotReady', 'it waits for that alone');
      }));

    it('fail no longer where another process has led meanwhile, until they are looked at', (t) =>
      whereOneFails(t.mock, async ({ leadAgain, ready }) => {
        await leadAgain();
        await eventually(() => ready('mine')?.reason === 'TopicNotReady', 'nobody knows how they are');
      }));
  });

  for (const [from, before] of [
    ['another one', { external: { bootstrapServers: '127.0.0.1:2' } }],
    ['Strimzi', kafka],
  ] as const)
    it(`give no right in an external Kafka to what is their own in ${from}`, (t) =>
      inWorld(async ({ server, externalKafka, runner, query, written, condition }) => {
        const given: string[] = [];
        const fine = { status: 'True', reason: 'Created', message: '' } as const;
        const isGiven = (to: string) => given.includes(to);
        t.mock.method(externalKafka, 'topics', () => Promise.resolve({ type: 'TopicsReady', ...fine }));
        t.mock.method(externalKafka.rights, 'keep', (_: EventService, to: ExternalKafkaSpec, emitted: string[]) => {
          given.push(`${to.bootstrapServers} ${emitted.join()}`);
          return Promise.resolve(fine);
        });
        let owned = ['mine'];
        t.mock.method(externalKafka, 'topicsOfQueries', () => Promise.resolve(new Set(owned)));
        const answer = Promise.withResolvers<StrimziReadiness>();
        const ask = t.mock.method(externalKafka, 'emittedTopic', () => Promise.resolve({ ready: true, message: '' }));
        runner({ kafka: before });
        query('mine', emitting('mine'));
        await eventually(() => written().join() === 'mine' || isGiven('127.0.0.1:2 mine'), 'it has its right');
        owned = [];
        const count = ask.mock.callCount();
        ask.mock.mockImplementation(() => answer.promise);
        try {
          server.patch(eventServices, namespace, 'analytics', {
            spec: { kafka: { cluster: null, external } },
          });
          await eventually(() => ask.mock.callCount() > count, 'it is asked for in that one');
          const generation = () => server.find(eventServices, namespace, 'analytics')?.metadata.generation;
          const isSeen = () => condition('analytics', 'TopicsReady')?.observedGeneration === generation();
          await eventually(isSeen, 'its service is looked at');
        } finally {
          answer.resolve({ ready: false, failure: 'KafkaSlow', message: 'slow' });
        }
        await eventually(() => given.some((right) => right.startsWith('127.0.0.1:1')), 'rights are given');
        assert.ok(!isGiven('127.0.0.1:1 mine'), given.join('; '));
      }));

  it('are looked at in an external Kafka for as long as it is that of the service', (t) => {
    const clock = new ManualClock();
    return inWorld(
      async ({ server, externalKafka, runner, query }) => {
        const ask = t.mock.method(externalKafka, 'emittedTopic', () => Promise.resolve({ ready: true, message: '' }));
        t.mock.method(externalKafka, 'topicsOfQueries', () => Promise.resolve(new Set(['mine'])));
        const isAsked = async () => {
          const before = ask.mock.callCount();
          const isMore = async () => {
            await clock.advance(10_000);
            return ask.mock.callCount() > before;
          };
          await eventually(isMore, 'Kafka is asked again');
        };
        runner({ kafka: { external } });
        query('mine', emitting('mine'));
        await isAsked();
        await isAsked();
        server.patch(eventServices, namespace, 'analytics', { spec: { kafka: { external: null, ...kafka } } });
        await eventually(async () => {
          await clock.advance(1_000);
          return server.find(kafkaTopics, namespace, 'mine');
        }, 'it is one of Strimzi');
        const before = ask.mock.callCount();
        for (let minutes = 0; minutes < 10; minutes += 1) await clock.advance(60_000);
        assert.equal(ask.mock.callCount(), before);
      },
      undefined,
      clock,
    );
  });

  it('are made by nobody where the service that runs the queries has no Kafka, which the query says', () =>
    inWorld(async ({ server, runner, query, ready, files }) => {
      runner();
      query('mine', emitting('mine'));
      query('plain');
      await eventually(() => ready('mine')?.reason === 'NoKafka', 'it says so');
      assert.equal(ready('mine')!.message, 'spec.kafka of analytics is missing: nobody makes the topic mine');
      assert.equal(kstatusOf(server.find<Resource>(streamQueries, namespace, 'mine')!), 'Failed');
      await eventually(() => files().join() === 'plain', 'the other one is passed on');
    }));
});

describe('the files of queries', () => {
  it('are the last valid ones, also where the operator has not heard yet of what it has written', () => {
    let isLagging = false;
    const isWatch = ({ verb, path }: { verb: string; path: string }) =>
      verb === 'watch' && path.includes('/configmaps');
    return inWorld(
      async ({ server, context, runner, query, ready, files }) => {
        const fileIn = (map: ConfigMap | undefined) => map?.data?.['mine.yaml'] ?? '';
        const file = () => fileIn(server.find<ConfigMap>(configMaps, namespace, 'stream-queries'));
        const known = () => fileIn(context.configMaps.store.get(`${namespace}/stream-queries`));
        const change = (having: string) => server.patch(streamQueries, namespace, 'mine', { spec: { having } });
        runner();
        query('mine', { having: 'orders > 1' });
        await eventually(() => known().includes('orders > 1'), 'it is passed on');
        isLagging = true;
        server.forget();
        server.endWatches();
        const isHeard = () =>
          server.requests.some(({ verb, path }) => verb === 'watch' && path.includes('/streamqueries'));
        await eventually(isHeard, 'the operator hears of queries alone');
        change('orders > 2');
        await eventually(() => file().includes('orders > 2'), 'a change is passed on');
        assert.ok(known().includes('orders > 1'), 'the cache lags behind');
        change('order > 3');
        await eventually(() => ready('mine')?.reason === 'Invalid', 'a mistake is reported');
        query('plain');
        await eventually(() => files().includes('plain'), 'another one is passed on');
        assert.ok(file().includes('orders > 2'), file());
      },
      (server) => server.fail(503, Infinity, (request) => isLagging && isWatch(request)),
    );
  });

  it('are in the next ConfigMap before they leave one that they have outgrown', () => {
    let isRefused = true;
    return inWorld(
      async ({ server, context, runner, query, ready, files }) => {
        const filesOf = (name: string) =>
          Object.keys(server.find<ConfigMap>(configMaps, namespace, name)?.data ?? {}).join();
        runner();
        const mistake = { having: 'order > 1' };
        query('a', mistake);
        query('b', mistake);
        await eventually(() => context.configMaps.store.size === 1 && ready('b')?.reason === 'Invalid', 'it has none');
        // as an earlier release has filled it
        const large = 'x'.repeat(480 * 1024);
        const data = { 'a.yaml': large, 'b.yaml': large };
        await context.api.apply(configMaps, configMapOf(namespace, 'stream-queries', data), manager);
        const known = () => context.configMaps.store.get(`${namespace}/stream-queries`);
        await eventually(() => known()?.data?.['b.yaml'], 'the operator knows it');
        query('c');
        await eventually(() => ready('c')?.reason === 'ReconcileRefused', 'there is no other ConfigMap');
        assert.equal(filesOf('stream-queries'), 'a.yaml,b.yaml');
        isRefused = false;
        query('d');
        await eventually(() => files().join() === 'a,b,c,d', 'all are passed on');
        assert.equal(filesOf('stream-queries-2'), 'b.yaml');
      },
      (server) => server.fail(403, Infinity, ({ path }) => isRefused && path.endsWith('/configmaps/stream-queries-2')),
    );
  });

  it('are no matter of a ConfigMap that somebody else has made, unless it has one of them', () =>
    inWorld(async ({ server, context, runner, query, ready, files, metricLines }) => {
      const data = { 'theirs.txt': 'theirs' };
      const metadata = { namespace, name: 'stream-queries-5' };
      server.create(configMaps, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data } as ConfigMap);
      await eventually(() => context.configMaps.store.get(`${namespace}/stream-queries-5`), 'the operator knows it');
      runner();
      query('plain');
      await eventually(() => files().includes('plain'), 'the query is passed on');
      query('second');
      await eventually(() => files().includes('second'), 'and another one');
      assert.deepEqual(
        await metricLines('operator_reconciles_total{controller="query-files",result="error"}'),
        [],
        'and nothing fails',
      );
      server.patch(configMaps, namespace, 'stream-queries-5', { data: { 'plain.yaml': 'theirs' } });
      await eventually(() => ready('plain')?.reason === 'ConfigMapTaken', 'analytics would read theirs');
      assert.match(ready('plain')!.message, /^the ConfigMap stream-queries-5 exists/);
    }));
});
