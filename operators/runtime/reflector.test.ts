import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Api } from './api.ts';
import { systemClock } from './clock.ts';
import type { Clock } from './clock.ts';
import type { Connection } from './connection.ts';
import { Informer } from './informer.ts';
import type { ReflectorTuning, RestartReason } from './reflector.ts';
import { FakeApiServer } from './testing/fake-api-server.ts';
import { ManualClock } from './testing/manual-clock.ts';
import { configMap, configMaps, memoryLog } from './testing/support.ts';
import { eventually } from '#test/eventually.ts';
import type { ConfigMap } from './testing/support.ts';

const tuning: ReflectorTuning = {
  pageSize: 3,
  silenceMs: 60_000,
  watchMs: 60_000,
  backoff: { firstMs: 5, maxMs: 40 },
  healthyMs: 1_000,
};

describe('a supervised list and watch', () => {
  let server: FakeApiServer;
  let connection: Connection;
  let informer: Informer<ConfigMap>;
  let restarts: RestartReason[];
  let log: ReturnType<typeof memoryLog>;
  let stop: AbortController;
  let running: Promise<void>;

  const begin = (options: Partial<ReflectorTuning> = {}, namespaces?: string[], clock: Clock = systemClock) => {
    restarts = [];
    log = memoryLog();
    informer = new Informer<ConfigMap>({
      api: new Api(connection),
      type: configMaps,
      namespaces,
      clock,
      log,
      metrics: { restarted: (_, reason) => restarts.push(reason), objects: () => undefined },
      tuning: { ...tuning, ...options },
    });
    running = informer.run(stop.signal);
    return informer.whenSynced();
  };
  const knows = (name: string) => informer.store.get(`test/${name}`);
  const sees = (name: string) => eventually(() => knows(name), `the cache has ${name}`);
  const watches = () => eventually(() => server.watching === 1, 'a watch is open');

  /** @returns how long it waits in all before so many further attempts, by its clock */
  const waited = async (clock: ManualClock, attempts: number) => {
    const begun = clock.now();
    for (const end = restarts.length + attempts; restarts.length < end;) {
      const made = restarts.length;
      await clock.advance(clock.next - clock.now());
      await eventually(() => restarts.length > made, 'an attempt');
    }
    return clock.now() - begun;
  };

  beforeEach(async () => {
    server = new FakeApiServer();
    await server.start();
    connection = server.connection();
    stop = new AbortController();
  });
  afterEach(async () => {
    stop.abort();
    await running;
    await connection.close();
    await server.stop();
  });

  it('lists in pages, then hears of each change', async () => {
    for (let i = 0; i < 8; i += 1) server.create(configMaps, configMap(`map-${i}`));
    await begin();
    assert.equal(informer.store.size, 8);
    assert.equal(server.count('list'), 3);
    await watches();
    server.create(configMaps, configMap('new'));
    server.patch(configMaps, 'test', 'map-0', { data: { a: '1' } });
    server.delete(configMaps, 'test', 'map-1');
    await eventually(
      () => knows('new') && knows('map-0')?.data?.['a'] === '1' && !knows('map-1'),
      'all three are known',
    );
  });

  it('begins anew where a page of the list is gone', async () => {
    for (let i = 0; i < 8; i += 1) server.create(configMaps, configMap(`map-${i}`));
    server.fail(410, 1, ({ verb }) => verb === 'list' && server.count('list') === 2);
    await begin();
    assert.equal(informer.store.size, 8);
    assert.equal(server.count('list'), 5);
  });

  it('tries again after a 503 of a list and of a watch', async () => {
    server.fail(503, 3, ({ verb }) => verb === 'list');
    server.fail(503, 3, ({ verb }) => verb === 'watch');
    await begin();
    await watches();
    assert.equal(server.count('list'), 4);
    assert.equal(server.count('watch'), 4);
    server.create(configMaps, configMap('late'));
    await sees('late');
  });

  it('waits as long as the server asks', async () => {
    server.fail(429, 1, ({ verb }) => verb === 'list', 1);
    const begun = performance.now();
    await begin();
    assert.ok(performance.now() - begun >= 990);
  });

  it('goes on after a reset from where it was, without a new list', async () => {
    await begin();
    await watches();
    server.create(configMaps, configMap('before'));
    await sees('before');
    const { version } = server;
    server.reset();
    server.create(configMaps, configMap('meanwhile'));
    await sees('meanwhile');
    assert.equal(server.count('list'), 1);
    assert.equal(server.requests.at(-1)?.resourceVersion, version);
    assert.deepEqual(restarts, ['error']);
  });

  it('goes on at once when the server ends a watch in order', async () => {
    await begin({ backoff: { firstMs: 60_000, maxMs: 60_000 } });
    await watches();
    server.endWatches();
    await eventually(() => server.count('watch') === 2, 'the watch is open again');
    assert.deepEqual(restarts, ['ended']);
  });

  it('lists again when its version is gone, and misses nothing of what happened meanwhile', async () => {
    server.create(configMaps, configMap('old'));
    await begin();
    await watches();
    await server.stop();
    server.delete(configMaps, 'test', 'old');
    server.create(configMaps, configMap('new'));
    server.compact();
    await server.start();
    await sees('new');
    assert.equal(knows('old'), undefined);
    assert.ok(restarts.includes('gone'));
    assert.equal(server.count('list'), 2);
  });

  it('lists again when it is told in the middle of a watch', async () => {
    await begin();
    await watches();
    server.expireWatches();
    await eventually(() => server.watching === 1 && server.count('list') === 2, 'a second watch is open');
    server.create(configMaps, configMap('new'));
    await sees('new');
    assert.deepEqual(restarts, ['gone']);
  });

  it('takes a silent watch for dead', async () => {
    await begin({ silenceMs: 150 });
    await watches();
    server.silence();
    server.create(configMaps, configMap('unheard'));
    server.speak();
    await sees('unheard');
    assert.equal(restarts[0], 'silent');
    assert.equal(server.count('list'), 1);
  });

  it('takes bookmarks for a sign of life, and goes on from them', async () => {
    const clock = new ManualClock();
    await begin({ silenceMs: 250 }, undefined, clock);
    await watches();
    server.create({ ...configMaps, plural: 'others' }, configMap('elsewhere')); // the version moves on without this kind
    for (let i = 0; i < 5; i += 1) {
      await clock.advance(200);
      server.bookmark();
      await eventually(() => clock.next === clock.now() + 250, 'the silence begins anew');
    }
    assert.deepEqual(restarts, []);
    server.compact(); // everything before the last bookmark
    server.reset();
    await eventually(() => restarts.length === 1, 'the watch is interrupted');
    await clock.advance(tuning.backoff.maxMs);
    await eventually(() => server.count('watch') === 2 && server.watching === 1, 'a second watch is open');
    assert.equal(server.count('list'), 1);
    assert.equal(server.requests.at(-1)?.resourceVersion, server.version);
  });

  it('goes on though a handler throws', async () => {
    const heard: string[] = [];
    const filled = begin();
    informer.onChange(() => {
      throw new Error('a mistake in a handler');
    });
    informer.onChange(({ after: now }) => heard.push(now!.metadata.name));
    await filled;
    await watches();
    server.create(configMaps, configMap('one'));
    server.create(configMaps, configMap('two'));
    await eventually(() => heard.length === 2, 'both are heard of');
    assert.equal(log.lines.filter(({ level }) => level === 'error').length, 2);
    assert.deepEqual(restarts, []);
  });

  it('does not storm a server that is down', async () => {
    const clock = new ManualClock();
    await begin({ backoff: { firstMs: 20, maxMs: 200 } }, undefined, clock);
    await watches();
    await server.stop();
    await eventually(() => restarts.length === 1, 'the watch is interrupted');
    await waited(clock, 4);
    const ms = await waited(clock, 7);
    assert.ok(ms >= 600, `7 attempts in ${ms} ms`);
    server.create(configMaps, configMap('meanwhile'));
    await server.start();
    await clock.advance(200);
    await sees('meanwhile');
    assert.equal(server.count('list'), 1);
  });

  it('does not storm a server that says 410 each time', async () => {
    const clock = new ManualClock();
    server.fail(410, 1_000, ({ verb }) => verb === 'watch');
    await begin({ backoff: { firstMs: 20, maxMs: 200 } }, undefined, clock);
    await eventually(() => restarts.length === 1, 'the first 410');
    const ms = await waited(clock, 14);
    assert.ok(ms >= 1_000, `14 lists in ${ms} ms`);
    assert.equal(server.count('list'), 15);
  });

  it('keeps to its namespaces', async () => {
    server.create(configMaps, configMap('in-a', {}, { namespace: 'a' }));
    server.create(configMaps, configMap('in-b', {}, { namespace: 'b' }));
    server.create(configMaps, configMap('in-c', {}, { namespace: 'c' }));
    await begin({}, ['a', 'b']);
    assert.deepEqual([...informer.store.keys()].toSorted(), ['a/in-a', 'b/in-b']);
    await eventually(() => server.watching === 2, 'both watches are open');
    server.create(configMaps, configMap('later', {}, { namespace: 'b' }));
    server.create(configMaps, configMap('later', {}, { namespace: 'c' }));
    await eventually(() => informer.store.get('b/later'), 'the one is known');
    assert.equal(informer.store.get('c/later'), undefined);
  });

  it('goes on without a namespace that forbids it, says so once, and reads it when it may', async () => {
    server.create(configMaps, configMap('in-a', {}, { namespace: 'a' }));
    server.create(configMaps, configMap('in-b', {}, { namespace: 'b' }));
    let isForbidden = true;
    server.fail(403, Infinity, ({ path }) => isForbidden && path.includes('/namespaces/b/'));
    await begin({}, ['a', 'b']);
    assert.deepEqual([...informer.store.keys()], ['a/in-a']);
    assert.deepEqual(
      ['a', 'b', 'c'].map((one) => informer.isUnread(one)),
      [false, true, false],
      'it only seems to be empty',
    );
    await eventually(() => restarts.filter((reason) => reason === 'forbidden').length > 3, 'it asks again');
    assert.equal(log.lines.filter(({ level }) => level === 'warn').length, 1);
    isForbidden = false;
    await eventually(() => informer.store.get('b/in-b'), 'it may read it');
    assert.equal(informer.isUnread('b'), false);
  });

  it('goes on without a namespace that forbids it later, too, and lists it again when it may', async () => {
    server.create(configMaps, configMap('in-a', {}, { namespace: 'a' }));
    server.create(configMaps, configMap('in-b', {}, { namespace: 'b' }));
    let isForbidden = false;
    server.fail(403, Infinity, ({ path }) => isForbidden && path.includes('/namespaces/b/'));
    await begin({}, ['a', 'b']);
    await eventually(() => server.watching === 2, 'both watches are open');
    isForbidden = true;
    server.endWatches();
    await eventually(() => informer.isUnread('b'), 'it may not read it any more');
    assert.deepEqual([informer.isUnread('a'), informer.hasSynced], [false, true]);
    assert.ok(informer.store.get('b/in-b'), 'the rights may be away for a moment');
    server.delete(configMaps, 'b', 'in-b');
    isForbidden = false;
    await eventually(() => !informer.isUnread('b'), 'it may read it');
    assert.deepEqual([...informer.store.keys()], ['a/in-a']);
  });

  for (const namespaces of [['a', 'b'], ['a'], undefined]) {
    it(`has not synced while everything is forbidden: ${namespaces?.join(' and ') ?? 'all namespaces'}`, async () => {
      let isForbidden = true;
      server.fail(403, Infinity, ({ path }) => isForbidden || path.includes('/namespaces/b/'));
      const synced = begin({}, namespaces);
      await eventually(() => restarts.length > 3, 'it asks again');
      assert.equal(informer.hasSynced, false);
      assert.equal(informer.isUnread('a'), true);
      isForbidden = false;
      await synced;
      assert.equal(informer.hasSynced, true);
    });
  }
});
