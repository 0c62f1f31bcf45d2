import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Problem } from '#platform/http';
import { VersionWaiter } from './version-waiter.ts';

const forever = new AbortController().signal;

test('all who wait share one reading, made again when something was projected', async () => {
  const versions = new Map<string, number>();
  const readings: string[][] = [];
  const waiter = new VersionWaiter({
    versions(ids) {
      readings.push(ids);
      return Promise.resolve(versions);
    },
    pollMs: 60_000,
  });
  const all = Promise.all(['1', '2', '2', '3'].map((id) => waiter.wait(id, 2, forever)));
  await new Promise(setImmediate);
  const before = readings.length;
  for (const id of ['1', '2', '3']) versions.set(id, 2);
  waiter.wake();
  await all;
  assert.equal(readings.length, before + 1);
  assert.deepEqual(readings.at(-1), ['1', '2', '3']);
});

test('what other processes project is noticed by itself', async () => {
  let readings = 0;
  const waiter = new VersionWaiter({
    versions: () => Promise.resolve(new Map([['1', ++readings]])),
    pollMs: 1,
  });
  await waiter.wait('1', 3, forever);
  assert.equal(readings, 3);
  waiter.wake(); // nobody waits: nothing is read
  assert.equal(readings, 3);
});

test('the wait ends when the time is up or the client has gone', async () => {
  const waiter = new VersionWaiter({ versions: () => Promise.resolve(new Map()), timeoutMs: 30, pollMs: 5 });
  const startedAt = performance.now();
  await waiter.wait('1', 1, forever);
  assert.ok(performance.now() - startedAt >= 29);
  const patient = new VersionWaiter({ versions: () => Promise.resolve(new Map()), timeoutMs: 60_000 });
  const client = new AbortController();
  const gone = patient.wait('1', 1, client.signal);
  client.abort();
  await gone;
});

test('the number of those who wait is bounded', async () => {
  const waiter = new VersionWaiter({ versions: () => Promise.resolve(new Map()), timeoutMs: 20, maxWaiting: 1 });
  const first = waiter.wait('1', 1, forever);
  await assert.rejects(waiter.wait('2', 1, forever), (error) => error instanceof Problem && error.status === 503);
  await first;
  await waiter.wait('2', 1, forever);
});

test('a database that cannot be read is the error of those who wait', async () => {
  const waiter = new VersionWaiter({ versions: () => Promise.reject(new Error('gone')) });
  await assert.rejects(waiter.wait('1', 1, forever), /gone/);
});
