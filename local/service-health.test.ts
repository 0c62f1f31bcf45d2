import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';

import { eventually } from '#test/eventually.ts';
import { freePort } from '#test/ports.ts';
import { startService, type ServiceProcess } from './service.ts';
import type { Running } from './supervised.ts';

/** A service one of whose probes fails, as `/fail/<probe>` says. */
const SOURCE = `
import { createServer } from 'node:http';
let failing = process.env.FAILING;
const down = JSON.stringify({ checks: { kafka: { status: 'DOWN', reason: 'no broker answers' }, db: { status: 'UP' } } });
const server = createServer((request, response) => {
  if (request.url.startsWith('/fail')) failing = request.url.slice('/fail'.length);
  response.writeHead(request.url === failing ? 503 : 200).end(down);
});
server.listen(process.env.PORT, '127.0.0.1');
process.on('SIGTERM', () => process.exit());
`;

describe('the runner', () => {
  const signal = AbortSignal.timeout(60_000);
  const ask = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${service.port}${path}`);
  let folder: string;
  let service: ServiceProcess;
  let running: Running | undefined;
  let warnings: string[];
  const begin = async (failing: string, isRestart: boolean): Promise<Running> => {
    service.env['FAILING'] = failing;
    running = await startService(service, { signal, isRestart }, (line) => warnings.push(line));
    return running;
  };

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-service-'));
    const file = join(folder, 'main.ts');
    writeFileSync(file, SOURCE);
    const port = await freePort();
    const env = { PORT: String(port) };
    service = {
      name: 'it',
      file,
      port,
      env,
      nodeFlags: ['--no-warnings'],
      pidFile: join(folder, 'it.pid'),
      onLine: () => {},
    };
    warnings = [];
  });
  afterEach(async () => {
    mock.timers.reset();
    await running?.stop();
    rmSync(folder, { recursive: true });
  });

  test('starts a service again although its other work fails', async () => {
    await begin('/health', true);
    assert.deepEqual(warnings, []);
  });

  test('leaves a service running that answers requests although its other work fails, and says why', async () => {
    mock.timers.enable({ apis: ['Date'] });
    const started = begin('/health', false);
    await eventually(async () => await ask('/livez').catch(() => undefined), 'an answer');
    await eventually(() => {
      mock.timers.tick(1_000);
      return warnings.length > 0;
    }, 'a warning');
    await started;
    assert.deepEqual(warnings, ['it answers requests, but kafka: no broker answers']);
  });

  test('says why although the service begins to answer only when its time is over', async () => {
    mock.timers.enable({ apis: ['Date'] });
    const started = begin('/health', false);
    mock.timers.tick(26_000);
    await started;
    assert.deepEqual(warnings, ['it answers requests, but kafka: no broker answers']);
  });

  test('ends a service that gives no sign of life, and no other', async () => {
    mock.timers.enable({ apis: ['setInterval'] });
    const { died } = await begin('', false);
    let sentence = '';
    void died.then((why) => (sentence = why));
    const passInterval = async (): Promise<void> => {
      mock.timers.tick(5_000);
      await ask('/').catch(() => undefined); // the answer to the probe came before this one
    };
    for (const probe of ['/readyz', '/health']) {
      await ask(`/fail${probe}`);
      for (let i = 0; i < 12; i++) await passInterval();
      assert.equal(sentence, '', `it goes on without ${probe}`);
    }
    await ask('/fail/livez');
    await eventually(async () => {
      await passInterval();
      return sentence !== '';
    }, 'the end of the service');
    assert.match(sentence, /^it ended \(SIGKILL\)/);
    assert.match(warnings.join(), /it is ended: it gave no sign of life for 30 s/);
  });
});
