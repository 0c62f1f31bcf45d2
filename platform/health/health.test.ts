import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Health } from './health.ts';

test('a service is ready when all it depends on is, and says what is not', async () => {
  const health = new Health();
  let up = true;
  health.addReadiness('database', () => {
    if (!up) throw new Error('connection refused');
  });
  health.addReadiness('kafka', async () => {});
  assert.equal((await health.readiness()).status, 'UP');
  up = false;
  assert.deepEqual(await health.readiness(), {
    status: 'DOWN',
    checks: { database: { status: 'DOWN', reason: 'connection refused' }, kafka: { status: 'UP' } },
  });
  assert.equal((await health.liveness()).status, 'UP');
});

test('a service whose other work does not go on still takes requests', async () => {
  const health = new Health();
  health.addReadiness('database', () => undefined);
  health.addWork('inbox', () => {
    throw new Error('not in the group');
  });
  assert.equal((await health.readiness()).status, 'UP');
  assert.deepEqual(await health.report(), {
    status: 'DOWN',
    checks: { database: { status: 'UP' }, inbox: { status: 'DOWN', reason: 'not in the group' } },
  });
});

test('a service that shuts down is not ready but alive', async () => {
  const health = new Health();
  health.drain();
  assert.equal((await health.readiness()).status, 'DOWN');
  assert.equal((await health.liveness()).status, 'UP');
});

test('a check that hangs counts as down', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const health = new Health();
  health.addReadiness('stuck', () => new Promise(() => {}));
  const report = health.readiness();
  t.mock.timers.tick(2_000);
  assert.deepEqual((await report).checks, { stuck: { status: 'DOWN', reason: 'no answer within 2000 ms' } });
});
