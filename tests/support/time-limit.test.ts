import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, describe, it } from 'node:test';

const timeLimit = new URL('time-limit.ts', import.meta.url).href;

describe('the time limit of a test file', { concurrency: true }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'time-limit-'));
  after(() => rmSync(folder, { recursive: true }));

  /** Runs a test file as `npm test` does. */
  async function run(name: string, source: string) {
    const file = join(folder, `${name}.test.mjs`);
    writeFileSync(file, `import { test } from 'node:test';\nimport { allowSeconds } from '${timeLimit}';\n${source}`);
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const args = ['--test', '--no-warnings', '--import', timeLimit, file];
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    const [[code], output] = await Promise.all([once(child, 'exit') as Promise<[number]>, text(child.stdout)]);
    return { code, output, file };
  }

  it('does not affect a file that ends', async () => {
    const { code, output } = await run('good', `test('passes', () => setTimeout(() => undefined, 1e6).unref());`);
    assert.equal(code, 0, output);
  });

  it('ends a file that does not exit after its tests, and names what is left', async (context) => {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    context.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const { code, output, file } = await run(
      'stays',
      `import { connect } from 'node:net';
       import { setTimeout as sleep } from 'node:timers/promises';
       async function askAgain() { await Promise.resolve(); await sleep(1_234_567); }
       test('passes', async () => {
         connect(${port}, '127.0.0.1');
         setInterval(() => undefined, 4_321);
         void askAgain();
       });`,
    );
    assert.equal(code, 1, output);
    assert.match(output, /✔ passes/);
    assert.ok(output.includes(`${file} was ended: its tests were done, and 10 s later it was still there`), output);
    assert.match(output, new RegExp(`connection to 127\\.0\\.0\\.1:${port}\n.* at .*${file}:7`));
    assert.match(output, new RegExp(`timer of 4321 ms, repeated\n.* at .*${file}:8`));
    assert.match(output, new RegExp(`timer of 1234567 ms\n.* at askAgain .*${file}:5`));
  });

  it('ends a file whose test takes too long', async () => {
    const { code, output } = await run(
      'long',
      `allowSeconds(1);
       test('never ends', () => new Promise(() => setTimeout(() => undefined, 1_234_567)));`,
    );
    assert.equal(code, 1, output);
    assert.match(output, /was ended: it took more than 1 s/);
    assert.match(output, /timer of 1234567 ms/);
  });

  const blocks = {
    'a loop': 'while (true);',
    'a regular expression': "/^(a+)+$/.test('a'.repeat(60) + 'b');",
    'Atomics.wait': 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);',
  };
  for (const [what, statement] of Object.entries(blocks))
    it(`ends one whose event loop is blocked by ${what}, and says where`, async () => {
      const { code, output, file } = await run(
        `blocked by ${what}`,
        `allowSeconds(1);
         process.once('exit', () => console.error('the exit was told'));
         function block() {
           ${statement}
         }
         test('never ends', () => block());`,
      );
      assert.equal(code, 1, output);
      assert.ok(output.includes(`${file} was ended: its event loop was blocked when its time was over`), output);
      assert.match(output, /It was here:\n.* at block \(.*blocked%20by%20.*\.test\.mjs:6:\d+\)\n.*\.test\.mjs:8:/);
      assert.match(output, /the exit was told/);
    });

  it('ends one that stays when its tests have passed, in a loop', async () => {
    const { code, output } = await run(
      'blocked-later',
      `test('passes', () => { setTimeout(() => { while (true); }); });`,
    );
    assert.equal(code, 1, output);
    assert.match(output, /✔ passes/);
    assert.match(output, /its event loop was blocked .*\n.* at .*blocked-later\.test\.mjs:3:/);
  });

  it('ends one that waits outside of JavaScript', async () => {
    const { code, output } = await run(
      'outside',
      `import { execFileSync } from 'node:child_process';
       allowSeconds(1);
       test('never ends', () => void execFileSync(process.execPath, ['-e', 'setInterval(() => console.log(), 50)']));`,
    );
    assert.equal(code, 1, output);
    assert.match(output, /It was here:\n +outside of JavaScript, as execFileSync and readSync are/);
  });
});
