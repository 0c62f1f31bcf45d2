import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { before, test } from 'node:test';

import { commandOf } from '#local/process.ts';

import { eventually } from '#test/eventually.ts';
import { root, start, untilPrinted, withinMs } from '#test/npm-start.ts';
import { isReady } from './change.ts';
import type { StartedPlatform } from './platform.ts';

/** `--only users`, from another clone than the platform. */
export function onlyTests(platform: StartedPlatform): void {
  /** The clone of the serving users process. */
  const served = async (): Promise<string | undefined> => {
    if (!(await isReady(platform, 'users'))) return undefined;
    const command = commandOf(platform.servicePid('users')) ?? '';
    return [platform.clone, root].find((clone) => command.includes(clone));
  };
  const untilGivenBack = async (): Promise<void> => {
    await eventually(
      async () => (await served().catch(() => undefined)) === platform.clone,
      () => `users to be given back: ${platform.run().output()}`,
      withinMs,
    );
    const answer = await fetch(`${platform.url('gateway')}/api/users/username/ada`);
    assert.equal(answer.status, 200);
  };

  before(async () => {
    const user = { username: 'ada', email: 'ada@example.com', firstName: 'Ada', lastName: 'Lovelace' };
    const answer = await fetch(`${platform.url('gateway')}/api/users`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(user),
    });
    assert.equal(answer.status, 201);
  });

  test('runs the service in place of the other one; Ctrl-C returns it', async () => {
    const only = start(['--only', 'users', '--inspect', 'users', '--data', platform.data]);
    await untilPrinted(only, 'users runs here');
    assert.equal(await served(), root);
    const [, address] = /debuggers at (\S+);/.exec(only.output()) ?? [];
    assert.equal((await fetch(`http://${address}/json/version`)).status, 200);
    assert.equal((await fetch(`${platform.url('gateway')}/api/users/username/ada`)).status, 200);

    const second = start(['--only', 'users', '--data', platform.data]);
    assert.equal(await second.exited, 1);
    assert.match(second.output(), /^Another npm start -- --only users has that service already\.\n$/);

    only.child.kill('SIGINT');
    assert.equal(await only.exited, 0, only.output());
    await untilGivenBack();
  });

  test('returns the service when it is killed', async () => {
    const { KAFKA_BROKERS: _, NODE_TEST_CONTEXT: __, ...env } = process.env;
    const args = ['--no-warnings', 'local/main.ts', '--only', 'users', '--data', platform.data];
    const only = spawn(process.execPath, args, { cwd: root, env, stdio: 'ignore' });
    await eventually(
      async () => (await served().catch(() => undefined)) === root,
      () => `users to be taken over: ${platform.run().output()}`,
      withinMs,
    );
    const pid = platform.servicePid('users');
    only.kill('SIGKILL');
    await once(only, 'exit');
    await untilGivenBack();
    assert.equal(commandOf(pid), undefined);
  });

  test('needs a platform that runs', async () => {
    const only = start(['--only', 'users', '--data', `${platform.data}/nothing`]);
    assert.equal(await only.exited, 1);
    assert.match(
      only.output(),
      /^No Millrace is up on the data in .*\.\nStart it first, in another terminal: npm start\n$/,
    );
  });
}
