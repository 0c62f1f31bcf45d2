import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';

import { Fault } from './fault.ts';
import type { Running } from './supervised.ts';
import { freePort } from '#test/ports.ts';
import { firstFreePort } from './ports.ts';
import { commandOf } from './process.ts';
import { startService, type ServiceProcess } from './service.ts';

const folder = mkdtempSync(join(tmpdir(), 'millrace-service-'));
const main = join(folder, 'main.ts');
const signal = AbortSignal.timeout(60_000);

/** A service that returns its version, and drains until the body of a running request has ended. */
const SOURCE = `
import { createServer } from 'node:http';
import { version } from './version.ts';

const server = createServer((request, response) => {
  if (request.url === '/block') for (;;);
  if (request.url !== '/drain') return void response.end(version);
  response.writeHead(200, { Connection: 'close' }).flushHeaders();
  request.resume().once('end', () => response.end(version));
});
server.listen(process.env.PORT, '127.0.0.1');
process.on('SIGTERM', () => server.close(() => process.exit()));
`;

describe('a service that takes the place of another', () => {
  let service: ServiceProcess;
  let running: Running;
  const lines: string[] = [];
  const ask = async (path = '/'): Promise<string> => (await fetch(`http://127.0.0.1:${service.port}${path}`)).text();
  const write = (version: string): void => writeFileSync(join(folder, 'version.ts'), version);
  /** Replaces the running one, and returns it: it has been asked to end. */
  const begin = async (onTakePlace?: () => void, until = signal): Promise<Running> => {
    const old = running;
    const replaceOld = (other: Running): Running => {
      running = other;
      onTakePlace?.();
      void old.stop();
      return old;
    };
    await startService(service, { signal: until, isRestart: true, replaceOld }, () => undefined);
    return old;
  };
  const replace = async (...args: Parameters<typeof begin>): Promise<void> => (await begin(...args)).stop();

  before(async () => {
    write("export const version = 'one';");
    writeFileSync(main, SOURCE);
    const port = await freePort();
    service = {
      name: 'it',
      file: main,
      port,
      env: { PORT: String(port) },
      nodeFlags: ['--no-warnings'],
      inspectPort: await firstFreePort(await freePort()),
      pidFile: join(folder, 'it.pid'),
      onLine: (line) => lines.push(line),
    };
    running = await startService(service, { signal, isRestart: false }, () => undefined);
  });
  after(async () => {
    await running.stop();
    rmSync(folder, { recursive: true });
  });

  test('serves while the other one drains', async () => {
    const draining = request({ port: service.port, path: '/drain', method: 'POST' });
    draining.write('the beginning of a body');
    const [answer] = (await once(draining, 'response')) as [IncomingMessage];
    write("export const version = 'two';");
    const old = await begin();
    assert.equal(await ask(), 'two');
    draining.end('its end');
    assert.equal(await text(answer), 'one');
    await old.stop();
    assert.notEqual(old.pid, running.pid);
    assert.equal((JSON.parse(readFileSync(service.pidFile, 'utf8')) as { pid: number }).pid, running.pid);
  });

  test('keeps the other one if it cannot start, and reports the reason once', async () => {
    for (const wrong of [
      "import './nowhere.ts';",
      'export const version = ;',
      'export const other = 1;',
      "throw new Error('wrong')",
    ]) {
      write(wrong);
      lines.length = 0;
      let hasPlace = false;
      await assert.rejects(
        replace(() => (hasPlace = true)),
        (error) => error instanceof Fault && error.message.startsWith('it ended (exit code 1) before it was ready'),
      );
      assert.equal(hasPlace, false, wrong);
      assert.equal(await ask(), 'two');
      assert.equal(lines.filter((line) => /^\w*Error/.test(line)).length, 1, lines.join('\n'));
    }
    write("export const version = 'three';");
    await replace();
    assert.equal(await ask(), 'three');
  });

  test('keeps its port when another replacement is requested', async () => {
    write("export const version = 'four';");
    const given = new AbortController();
    await assert.rejects(
      replace(() => given.abort(new Error('another is wanted')), given.signal),
      /another is wanted/,
    );
    write("export const version = 'five';");
    await replace();
    assert.equal(await ask(), 'five');
  });

  test('kills one that is in an endless loop', async () => {
    const { pid = 0 } = running;
    const lost = assert.rejects(ask('/block'));
    write("export const version = 'six';");
    await replace();
    await lost;
    assert.equal(await ask(), 'six');
    assert.equal(commandOf(pid), undefined);
  });

  test('is open to debuggers on the same port; an attached debugger or a breakpoint delays nothing', async () => {
    const inspected = `http://127.0.0.1:${service.inspectPort}/json`;
    for (const method of ['Runtime.enable', 'Debugger.pause']) {
      const [target] = (await (await fetch(inspected)).json()) as { webSocketDebuggerUrl: string; title: string }[];
      const socket = new WebSocket(target!.webSocketDebuggerUrl);
      await once(socket, 'open');
      for (const [id, one] of ['Debugger.enable', method].entries()) {
        socket.send(JSON.stringify({ id, method: one }));
        await once(socket, 'message');
      }
      const closed = once(socket, 'close');
      const began = performance.now();
      await replace();
      await closed;
      assert.ok(performance.now() - began < 5_000);
      assert.equal(await ask(), 'six');
    }
    assert.equal(
      ((await (await fetch(`${inspected}/version`)).json()) as object)['Browser' as never],
      `node.js/${process.version}`,
    );
  });
});
