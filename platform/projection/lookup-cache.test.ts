import assert from 'node:assert/strict';
import { test } from 'node:test';
import { registry } from '#platform/telemetry';
import { LookupCache } from './lookup-cache.ts';

interface Value {
  n: number;
}

/** A source whose answers the test gives one by one. */
function controlledSource() {
  const asked: number[] = [];
  const answers: ((value: Value | undefined) => void)[] = [];
  const load = (key: number) => {
    asked.push(key);
    return new Promise<Value | undefined>((resolve) => answers.push(resolve));
  };
  return { asked, load, answer: (value: Value | undefined) => answers.shift()!(value) };
}

const cacheOf = (load: (key: number) => Promise<Value | undefined>, maxEntries = 10, ttlMs = 60_000) =>
  new LookupCache<Value>({ name: 'test', load, maxEntries, ttlMs });

test('lookups of one key at the same time ask the source once, later ones not at all', async () => {
  const { asked, load, answer } = controlledSource();
  const cache = cacheOf(load);
  const both = Promise.all([cache.get(1), cache.get(1)]);
  answer({ n: 1 });
  assert.deepEqual(await both, [{ n: 1 }, { n: 1 }]);
  assert.deepEqual(await cache.get(1), { n: 1 });
  assert.deepEqual(asked, [1]);
  const text = await registry.getSingleMetricAsString('millrace_cache_lookups_total');
  for (const result of ['miss', 'shared', 'hit']) {
    assert.match(text, new RegExp(`cache="test",result="${result}"} 1`));
  }
});

test('what was forgotten during a lookup is not kept', async () => {
  const { asked, load, answer } = controlledSource();
  const cache = cacheOf(load);
  const old = cache.get(1);
  cache.forget(1);
  const fresh = cache.get(1);
  answer({ n: 1 });
  assert.deepEqual(await old, { n: 1 });
  answer({ n: 2 });
  assert.deepEqual(await fresh, { n: 2 });
  assert.deepEqual(await cache.get(1), { n: 2 });
  assert.deepEqual(asked, [1, 1]);
});

test('what was forgotten with all the rest is asked for again, and not kept where its lookup was under way', async () => {
  const { asked, load, answer } = controlledSource();
  const cache = cacheOf(load);
  const kept = cache.get(1);
  answer({ n: 1 });
  await kept;
  const old = cache.get(2);
  cache.forgetAll();
  answer({ n: 2 });
  assert.deepEqual(await old, { n: 2 });
  void cache.get(1);
  void cache.get(2);
  assert.deepEqual(asked, [1, 2, 1, 2]);
});

test('neither a missing value nor a failure is kept', async () => {
  let calls = 0;
  const cache = cacheOf(() => {
    calls += 1;
    return calls === 1 ? Promise.resolve(undefined) : Promise.reject(new Error(`call ${calls}`));
  });
  assert.equal(await cache.get(1), undefined);
  await assert.rejects(cache.get(1), /call 2/);
  await assert.rejects(cache.get(1), /call 3/);
});

test('the number of entries is bounded', async () => {
  const asked: number[] = [];
  const cache = cacheOf((key) => {
    asked.push(key);
    return Promise.resolve({ n: key });
  }, 2);
  for (const key of [1, 2, 3, 1]) await cache.get(key);
  assert.deepEqual(asked, [1, 2, 3, 1]);
});
