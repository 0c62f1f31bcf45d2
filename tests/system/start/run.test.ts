// Tests a run of `npm start`: its output, its supervision, and its cleanup.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { eventServices } from '#platform/declarations';
import { PORTS } from '#local/plan.ts';
import { assertPortFree } from '#local/ports.ts';
import { commandOf } from '#local/process.ts';

import { eventually } from '#test/eventually.ts';
import { start, temporaryFolder, untilPrinted, withinMs } from '#test/npm-start.ts';
import { freePortOffset, platformPorts } from '#test/ports.ts';
import { allowSeconds } from '#test/time-limit.ts';
import { pidIn, startedPlatform } from './platform.ts';

allowSeconds(600); // it starts the whole platform several times

describe('npm start', () => {
  const platform = startedPlatform();
  const { data, servicePid } = platform;
  const output = () => platform.run().output();
  const allPids = (): number[] =>
    [...globSync(join(data, 'services', '*.pid')), join(data, 'postgres.pid'), join(data, 'kafka.pid')]
      .filter((file) => existsSync(file))
      .map(pidIn);

  test('prints addresses and commands that work', async () => {
    const commands = output()
      .split('\n')
      .filter((line) => line.trim().startsWith('curl'));
    assert.equal(commands.length, 3);
    const answers = [];
    for (const command of commands) {
      const shell = spawn('sh', ['-c', command], { stdio: ['ignore', 'pipe', 'inherit'] });
      const [chunks] = await Promise.all([shell.stdout.setEncoding('utf8').toArray(), once(shell, 'exit')]);
      answers.push(JSON.parse(chunks.join('')) as Record<string, unknown>);
    }
    assert.equal(answers[0]?.['username'], 'ada');
    assert.equal(answers[1]?.['totalAmount'], 25);
    assert.deepEqual([answers[2]?.['id'], answers[2]?.['userUsername']], [answers[1]?.['id'], 'ada']);
    const mail = `http://localhost:${PORTS.mail + platform.offset()}`;
    assert.ok(output().includes(mail));
    await eventually(
      async () => ((await (await fetch(`${mail}/api/messages?to=ada`)).json()) as unknown[]).length >= 2,
      () => 'the mails to ada',
      withinMs,
    );
  });

  test('refuses a second run on the same data', async () => {
    const second = start(['--port-offset', String(await freePortOffset()), '--data', data]);
    assert.equal(await second.exited, 1);
    assert.match(second.output(), /^Millrace already runs on the data in .* \(process \d+\)\.\n.*--data <folder>\n$/);
  });

  test('names the port that is taken', async () => {
    const folder = temporaryFolder();
    const second = start(['--port-offset', String(platform.offset()), '--data', folder]);
    assert.equal(await second.exited, 1);
    assert.match(second.output(), /Another process uses port \d+, which analytics needs\.\n.*--port-offset/);
    rmSync(folder, { recursive: true });
  });

  test('restarts a service that dies', async () => {
    const pid = servicePid('users');
    process.kill(pid, 'SIGKILL');
    await eventually(() => output().includes('users is running again'), output, withinMs);
    assert.notEqual(servicePid('users'), pid);
    assert.match(output(), /users ended \(SIGKILL\)/);
    const answer = await fetch(`${platform.url('users')}/users/username/ada`);
    assert.equal(answer.status, 200);
  });

  test('the next run cleans up after a killed one, and has its data', async () => {
    const pid = pidIn(join(data, 'runner.pid'));
    process.kill(pid, 'SIGKILL');
    await platform.run().exited;
    await platform.start();
    const answer = await fetch(`${platform.url('gateway')}/api/users/username/ada`);
    assert.equal(answer.status, 200, output());
  });

  test('Kafka comes back without its data, and has its topics again', async () => {
    const pid = pidIn(join(data, 'kafka.pid'));
    const logged = statSync(join(data, 'kafka.log')).size;
    const services = eventServices().map(({ metadata }) => servicePid(metadata.name));
    rmSync(join(data, 'kafka'), { recursive: true });
    process.kill(pid, 'SIGKILL');
    await eventually(() => output().includes('Kafka is running again'), output, withinMs);
    assert.match(output(), /created the topics .*order-events/);
    assert.ok(statSync(join(data, 'kafka.log')).size > logged, 'kafka.log has lost what it had');
    const answer = await fetch(`${platform.url('gateway')}/api/users/username/ada`);
    assert.equal(answer.status, 200, output());
    assert.deepEqual(
      eventServices().map(({ metadata }) => servicePid(metadata.name)),
      services,
      'the services are those of before',
    );
  });

  test('Ctrl-C stops everything and leaves nothing behind', async () => {
    const only = start(['--only', 'users', '--data', data]);
    await untilPrinted(only, 'users runs here');
    const pids = allPids();
    assert.equal(pids.length, eventServices().length + 2);
    platform.run().child.kill('SIGINT');
    assert.equal(await platform.run().exited, 0, output());
    assert.equal(await only.exited, 0, only.output());
    assert.match(only.output(), /stopping \(the platform has ended\)/);
    assert.deepEqual(
      pids.filter((pid) => commandOf(pid) !== undefined),
      [],
    );
    assert.deepEqual(allPids(), []);
    assert.ok(!existsSync(join(data, 'runner.pid')));
    assert.ok(!existsSync(join(data, 'postgres/postmaster.pid')));
    for (const port of platformPorts(platform.offset())) await assertPortFree(port, 'a test');
  });
});
