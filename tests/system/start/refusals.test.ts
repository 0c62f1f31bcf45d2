// Tests what `npm start` says where it cannot start.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';

import { PORTS } from '#local/plan.ts';
import { start, temporaryFolder } from '#test/npm-start.ts';
import { freePortOffset } from '#test/ports.ts';

async function takePort(port: number): Promise<Server> {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

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
