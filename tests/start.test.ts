// Tests `npm start`: its output, its cleanup, and its failures.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { eventServices } from '#platform/declarations';
import { PORTS, serviceUrl } from '#local/plan.ts';
import { assertPortFree } from '#local/ports.ts';
import { commandOf } from '#local/process.ts';

import { inspectTests } from './start/inspect.ts';
import { onlyTests } from './start/only.ts';
import { reloadTests } from './start/reload.ts';
import { eventually } from '#test/eventually.ts';
import { makeClone, start, temporaryFolder, untilPrinted, withinMs, type Run } from '#test/npm-start.ts';
import { freePortOffset, platformPorts } from '#test/ports.ts';
import { allowSeconds } from '#test/time-limit.ts';

allowSeconds(300); // it starts the whole platform several times

async function takePort(port: number): Promise<Server> {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

describe('npm start', () => {
  let offset: number;
  const clone = makeClone();
  const data = temporaryFolder();
  let run: Run;

  const servicePid = (name: string): number =>
    (JSON.parse(readFileSync(join(data, 'services', `${name}.pid`), 'utf8')) as { pid: number }).pid;
  const allPids = (): number[] =>
    [...globSync(join(data, 'services', '*.pid')), join(data, 'postgres.pid'), join(data, 'kafka.pid')]
      .filter((file) => existsSync(file))
      .map((file) => (JSON.parse(readFileSync(file, 'utf8')) as { pid: number }).pid);
  const startPlatform = async (): Promise<void> => {
    run = start(['--port-offset', String(offset), '--data', data, '--inspect', 'orders'], { clone });
    await untilPrinted(run, 'Millrace is up after');
  };

  before(async () => {
    offset = await freePortOffset();
    await startPlatform();
  });
  after(async () => {
    run.child.kill('SIGINT');
    await run.exited;
    rmSync(data, { recursive: true, force: true });
    rmSync(clone, { recursive: true });
  });

  test('prints addresses and commands that work', async () => {
    const commands = run
      .output()
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
    const mail = `http://localhost:${PORTS.mail + offset}`;
    assert.ok(run.output().includes(mail));
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
    const second = start(['--port-offset', String(offset), '--data', folder]);
    assert.equal(await second.exited, 1);
    assert.match(second.output(), /Another process uses port \d+, which analytics needs\.\n.*--port-offset/);
    rmSync(folder, { recursive: true });
  });

  test('restarts a service that dies', async () => {
    const pid = servicePid('users');
    process.kill(pid, 'SIGKILL');
    await eventually(() => run.output().includes('users is running again'), run.output, withinMs);
    assert.notEqual(servicePid('users'), pid);
    assert.match(run.output(), /users ended \(SIGKILL\)/);
    const answer = await fetch(`http://127.0.0.1:${8081 + offset}/users/username/ada`);
    assert.equal(answer.status, 200);
  });

  const platform = {
    clone,
    data,
    run: () => run,
    url: (service: string) => serviceUrl(service, offset),
    mail: () => `http://127.0.0.1:${PORTS.mail + offset}`,
    servicePid,
  };
  describe('when sources change', () => reloadTests(platform));
  describe('with --inspect', () => inspectTests(platform));
  describe('with --only', () => onlyTests(platform));

  test('the next run cleans up after a killed one, and has its data', async () => {
    const { pid } = JSON.parse(readFileSync(join(data, 'runner.pid'), 'utf8')) as { pid: number };
    process.kill(pid, 'SIGKILL');
    await run.exited;
    await startPlatform();
    const answer = await fetch(`${serviceUrl('gateway', offset)}/api/users/username/ada`);
    assert.equal(answer.status, 200, run.output());
  });

  test('Kafka comes back without its data, and has its topics again', async () => {
    const { pid } = JSON.parse(readFileSync(join(data, 'kafka.pid'), 'utf8')) as { pid: number };
    const logged = statSync(join(data, 'kafka.log')).size;
    const services = eventServices().map(({ metadata }) => servicePid(metadata.name));
    rmSync(join(data, 'kafka'), { recursive: true });
    process.kill(pid, 'SIGKILL');
    await eventually(() => run.output().includes('Kafka is running again'), run.output, withinMs);
    assert.match(run.output(), /created the topics .*order-events/);
    assert.ok(statSync(join(data, 'kafka.log')).size > logged, 'kafka.log has lost what it had');
    const answer = await fetch(`${serviceUrl('gateway', offset)}/api/users/username/ada`);
    assert.equal(answer.status, 200, run.output());
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
    run.child.kill('SIGINT');
    assert.equal(await run.exited, 0, run.output());
    assert.equal(await only.exited, 0, only.output());
    assert.match(only.output(), /stopping \(the platform has ended\)/);
    assert.deepEqual(
      pids.filter((pid) => commandOf(pid) !== undefined),
      [],
    );
    assert.deepEqual(allPids(), []);
    assert.ok(!existsSync(join(data, 'runner.pid')));
    assert.ok(!existsSync(join(data, 'postgres/postmaster.pid')));
    for (const port of platformPorts(offset)) await assertPortFree(port, 'a test');
  });
});

describe('npm start that cannot', () => {
  let offset: number;
  before(async () => {
    offset = await freePortOffset();
  });
  const fail = async (args: string[], env?: Record<string, string>): Promise<string> => {
    const run = start(['--port-offset', String(offset), ...args], env && { env });
    assert.notEqual(await run.exited, 0, run.output());
    assert.ok(!/^\s+at /m.test(run.output()), `the output has a stack: ${run.output()}`);
    return run.output();
  };

  test('understand an option names it', async () => {
    assert.match(await fail(['--dmeo']), /^Unknown option '--dmeo'\.\nnpm start -- --help shows the options\.\n$/);
  });

  test("have PostgreSQL's port names its owner", async () => {
    const taken = await takePort(PORTS.postgres + offset);
    const folder = temporaryFolder();
    try {
      assert.match(await fail(['--data', folder]), /Another process uses port \d+, which PostgreSQL needs/);
      assert.ok(!existsSync(join(folder, 'runner.pid')));
    } finally {
      taken.close();
      rmSync(folder, { recursive: true });
    }
  });

  test('reach the brokers names them', async () => {
    const folder = temporaryFolder();
    assert.match(
      await fail(['--data', folder], { KAFKA_BROKERS: '127.0.0.1:1' }),
      /No Kafka answers at KAFKA_BROKERS \(127\.0\.0\.1:1: /,
    );
    assert.match(
      await fail(['--data', folder], { KAFKA_BROKERS: 'kafka' }),
      /KAFKA_BROKERS is "kafka", which is not a list of host:port/,
    );
    rmSync(folder, { recursive: true });
  });

  test('find Java or Docker says what to do', async () => {
    const folder = temporaryFolder();
    const tools = temporaryFolder();
    symlinkSync(execFileSync('sh', ['-c', 'command -v id'], { encoding: 'utf8' }).trim(), join(tools, 'id'));
    const output = await fail(['--data', folder], { PATH: tools, JAVA_HOME: '' });
    rmSync(tools, { recursive: true });
    assert.match(output, /Kafka cannot be started: no Docker engine answers; no Java is installed\.\n.*KAFKA_BROKERS=/);
    rmSync(folder, { recursive: true });
  });

  test('write its data reports it', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'file'), '');
    assert.match(
      await fail(['--data', join(folder, 'file/data')]),
      /The data folder .* cannot be written: a part of its path is a file\./,
    );
    rmSync(folder, { recursive: true });
  });
});
