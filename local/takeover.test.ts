import assert from 'node:assert/strict';
import { once, EventEmitter } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Fault } from './fault.ts';
import { freePort } from '#test/ports.ts';
import { takeOver, Takeovers } from './takeover.ts';

const data = mkdtempSync(join(tmpdir(), 'millrace-takeover-'));
const { signal } = new AbortController();
const heard = new EventEmitter<{ orders: [boolean]; users: [boolean] }>();
let port: number;

const takeovers = new Takeovers(
  () =>
    (['orders', 'users'] as const).map((name) => ({ name, port, env: { NAME: name }, pidFile: join(data, 'x.pid') })),
  (service, isTaken) => heard.emit(service as 'orders', isTaken),
);

/** Whether the service is taken after an action. */
async function change(service: 'orders' | 'users', act: () => void): Promise<boolean> {
  const told = once(heard, service);
  act();
  return ((await told) as [boolean])[0];
}

describe('a takeover', () => {
  before(async () => {
    port = await freePort();
  });
  after(() => {
    takeovers.close();
    rmSync(data, { recursive: true });
  });

  test('needs a platform that is up', async () => {
    await assert.rejects(
      takeOver(data, 'orders', signal),
      (error) => error instanceof Fault && error.message.startsWith('No Millrace is up on the data in '),
    );
    await takeovers.listen(data);
    assert.equal(statSync(join(data, 'runner.sock')).mode & 0o777, 0o600);
  });

  test('gets the service when its port is free, and ends with the connection', async () => {
    let taken = takeOver(data, 'orders', signal);
    assert.deepEqual(await once(heard, 'orders'), [true]);
    assert.ok(takeovers.isTaken('orders') && !takeovers.isTaken('users'));
    await assert.rejects(takeOver(data, 'orders', signal), /has that service already/);
    await takeovers.startTaken('orders', { signal, isRestart: true });
    const { giveBack, port: given, env } = await taken;
    assert.deepEqual([given, env], [port, { NAME: 'orders' }]);
    assert.equal(await change('orders', giveBack), false);
    assert.ok(!takeovers.isTaken('orders'));

    taken = takeOver(data, 'orders', signal);
    await once(heard, 'orders');
    const ours = await takeovers.startTaken('orders', { signal, isRestart: true });
    const { lost } = await taken;
    const stopped = ours.stop();
    await Promise.all([lost, stopped]);
  });

  test('can be given up before it has the service', async () => {
    const giveUp = new AbortController();
    const taken = takeOver(data, 'users', giveUp.signal);
    assert.deepEqual(await once(heard, 'users'), [true]);
    const rejected = assert.rejects(taken, /abort/i);
    assert.equal(await change('users', () => giveUp.abort()), false);
    await rejected;
  });

  test('is refused for an unknown service', async () => {
    await assert.rejects(takeOver(data, 'inventory', signal), /has no service inventory/);
  });
});
