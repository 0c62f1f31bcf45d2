import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const root = new URL('../..', import.meta.url);
const { PATH, NODE_COMPILE_CACHE } = process.env;

/** A process that runs a service whose start is the given code; its log lines, and its exit code when it ends. */
function run(code: string, env: NodeJS.ProcessEnv = {}) {
  const script = `
    import { runService } from '#platform/lifecycle';
    import { loadConfig, commonConfig } from '#platform/config';
    import { Type } from 'typebox';
    void loadConfig, commonConfig, Type;
    await runService('example', async (service) => { ${code} });`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    env: { PATH, NODE_COMPILE_CACHE, ...env },
  });
  const lines: { msg: string; [field: string]: unknown }[] = [];
  let rest = '';
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
    const parts = `${rest}${chunk}`.split('\n');
    rest = parts.pop()!;
    lines.push(...parts.filter(Boolean).map((line) => JSON.parse(line) as { msg: string }));
  });
  return { child, lines, exit: once(child, 'exit').then(([exit]) => exit as number | null) };
}

async function started(child: ChildProcess, lines: { msg: string }[]): Promise<void> {
  while (!lines.some(({ msg }) => msg === 'started')) await once(child.stdout!, 'data');
}

const keepAlive = 'setInterval(() => {}, 1000);';
const stepsThatLog = `${keepAlive}
  for (const step of ['pool', 'consumer', 'http']) service.onStop(step, async () => service.log.info({ step }, 'step'));`;

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} runs the steps of the shutdown, last added first, and ends with 0`, async () => {
    const { child, lines, exit } = run(stepsThatLog);
    await started(child, lines);
    child.kill(signal);
    assert.equal(await exit, 0);
    assert.deepEqual(
      lines.filter(({ msg }) => msg === 'step').map((line) => line['step']),
      ['http', 'consumer', 'pool'],
    );
  });
}

test('a service ends when the process that started it is gone', async () => {
  const { child, lines, exit } = run(stepsThatLog);
  await started(child, lines);
  child.disconnect();
  assert.equal(await exit, null); // by a signal of its own: its output may be gone with the parent
});

test('a step that fails does not keep the others from running', async () => {
  const { child, lines, exit } = run(`${keepAlive}
    service.onStop('pool', async () => service.log.info('pool closed'));
    service.onStop('http', async () => { throw new Error('broken'); });`);
  await started(child, lines);
  child.kill('SIGTERM');
  assert.equal(await exit, 0);
  assert.ok(lines.some(({ msg }) => msg === 'pool closed'));
  assert.ok(lines.some((line) => line['step'] === 'http' && line['level'] === 'error'));
});

test('a shutdown that hangs is ended after the grace with 1', async () => {
  const { child, lines, exit } = run(`${keepAlive} service.onStop('http', () => new Promise(() => {}));`, {
    SHUTDOWN_GRACE_MS: '50',
  });
  await started(child, lines);
  child.kill('SIGTERM');
  assert.equal(await exit, 1);
  assert.ok(lines.some((line) => line.msg === 'not stopped in time' && line['step'] === 'http'));
});

test('goes on for a while, not ready, and has clients end their connections, before it stops', async () => {
  const code = `
    const { defineContract } = await import('#platform/contract');
    const { createHttp } = await import('#platform/http');
    const { health, log } = service;
    const http = createHttp({ contract: defineContract('example', {}), handlers: {}, health, log });
    service.onStop('http', () => http.close());
    log.info({ port: await http.listen(0, '127.0.0.1') }, 'listening');`;
  const { child, lines, exit } = run(code, { SHUTDOWN_DELAY_MS: '2500' });
  await started(child, lines);
  const { port } = lines.find(({ msg }) => msg === 'listening') as unknown as { port: number };
  const ask = async (path: string) => {
    const { status, headers } = await fetch(`http://127.0.0.1:${port}${path}`);
    return [status, headers.get('connection')];
  };
  assert.deepEqual(await ask('/readyz'), [200, 'keep-alive']);
  child.kill('SIGTERM');
  while (!lines.some(({ msg }) => msg === 'stopping')) await once(child.stdout!, 'data');
  assert.deepEqual(await ask('/readyz'), [503, 'close']);
  assert.deepEqual(await ask('/livez'), [200, 'close']);
  assert.equal(await exit, 0);
});

test('the log level and the grace may come from mounted files', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-service-'));
  writeFileSync(join(folder, 'LOG_LEVEL'), 'error\n');
  writeFileSync(join(folder, 'SHUTDOWN_GRACE_MS'), '50\n');
  const code = `service.onStop('http', () => new Promise(() => {})); process.kill(process.pid, 'SIGTERM');`;
  const { lines, exit } = run(`${keepAlive} ${code}`, { CONFIG_DIR: folder });
  assert.equal(await exit, 1);
  assert.deepEqual(
    lines.map(({ msg, grace }) => [msg, grace]),
    [['not stopped in time', 50]],
  );
  rmSync(folder, { recursive: true });
});

test('a wrong configuration ends the start with 1 and the list of its faults', async () => {
  const { lines, exit } = run(`loadConfig(Type.Object(commonConfig));`, { LOG_LEVEL: 'info' });
  assert.equal(await exit, 1);
  const fatal = lines.find((line) => line['level'] === 'fatal');
  assert.deepEqual(fatal?.['faults'], ['PORT is missing']);
  const loud = run(`loadConfig(Type.Object(commonConfig));`, { PORT: '0', LOG_LEVEL: 'loud' });
  assert.equal(await loud.exit, 1);
  assert.match(JSON.stringify(loud.lines), /LOG_LEVEL .*one of trace, debug/);
});

test('an error that nobody caught ends the process with 1 and is in the log', async () => {
  const { lines, exit } = run(`setImmediate(() => { void Promise.reject(new Error('lost')); });`);
  assert.equal(await exit, 1);
  assert.match(JSON.stringify(lines.find((line) => line['level'] === 'fatal')), /lost/);
});
