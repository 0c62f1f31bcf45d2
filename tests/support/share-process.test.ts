import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, describe, it } from 'node:test';

const urlOf = (name: string) => new URL(name, import.meta.url).href;

describe('test files that share a process', { concurrency: true }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'share-process-'));
  after(() => rmSync(folder, { recursive: true }));

  /** Runs test files, given by their names, as `npm test` does. */
  async function run(sources: Record<string, string>) {
    const own = mkdtempSync(join(folder, 'files-'));
    const files = Object.entries(sources).map(([name, source]) => {
      const file = join(own, `${name}.test.mjs`);
      writeFileSync(
        file,
        `import { after, before, beforeEach, test } from 'node:test';
         import { allowSeconds } from '${urlOf('time-limit.ts')}';
         ${source}`,
      );
      return file;
    });
    const all = join(own, 'shared-process.mjs');
    writeFileSync(
      all,
      `import { shareProcess } from '${urlOf('share-process.ts')}';\nshareProcess(${JSON.stringify(files)}, 300);`,
    );
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const args = ['--test', '--no-warnings', '--import', urlOf('time-limit.ts'), all];
    const child = spawn(process.execPath, args, { cwd: own, env, stdio: ['ignore', 'pipe', 'inherit'] });
    const [[code], output] = await Promise.all([once(child, 'exit') as Promise<[number]>, text(child.stdout)]);
    return { code, output };
  }

  it('run one after another, each with its own hooks', async () => {
    const { code, output } = await run({
      first: `let ready = false;
         before(() => { ready = true; });
         beforeEach(() => { globalThis.begun = (globalThis.begun ?? 0) + 1; });
         after(() => { globalThis.ended = true; });
         test('is ready', () => { if (!ready || globalThis.ended) throw new Error(); });`,
      second: `test('comes later', () => { if (!globalThis.ended || globalThis.begun !== 1) throw new Error(); });`,
    });
    assert.equal(code, 0, output);
    assert.match(output, /▶ first\.test\.mjs\n {2}✔ is ready .*\n✔ first.*\n▶ second\.test\.mjs\n {2}✔ comes later/);
  });

  it('fail alone: at a test, and where they cannot be loaded', async () => {
    const { code, output } = await run({
      faulty: `throw new Error('at its load');`,
      failing: `test('fails', () => { throw new Error('on purpose'); });`,
      passing: `test('passes', () => undefined);`,
    });
    assert.equal(code, 1, output);
    assert.match(output, /✖ faulty\.test\.mjs/);
    assert.match(output, /at its load\n.*faulty\.test\.mjs:3/);
    assert.match(output, /test at failing\.test\.mjs:3:\d+\n✖ fails/);
    assert.match(output, /✔ passing\.test\.mjs/);
  });

  const changes = {
    LEFT_BEHIND: `process.env.LEFT_BEHIND = 'x';`,
    'current folder': `process.chdir('/');`,
    'listeners of SIGUSR2': `process.on('SIGUSR2', () => undefined);`,
  };
  for (const [what, statement] of Object.entries(changes))
    it(`fail where they change the process, and name what: ${what}`, async () => {
      const { code, output } = await run({
        leaving: `test('passes', () => { ${statement} });`,
        next: `test('passes', () => undefined);`,
      });
      assert.equal(code, 1, output);
      assert.match(output, /✖ leaving\.test\.mjs/);
      assert.match(output, /the file leaves the process as it was/);
      assert.match(output, new RegExp(`\\+ {3}'${what}'`));
      assert.match(output, /✔ next\.test\.mjs/);
    });

  it('fail where they leave something running, which is named', async () => {
    const { code, output } = await run({
      leaving: `test('passes', () => { globalThis.left = setInterval(() => undefined, 4_321); });`,
      next: `test('passes', () => clearInterval(globalThis.left));`,
    });
    assert.equal(code, 1, output);
    assert.match(output, /✖ leaving\.test\.mjs/);
    assert.match(output, /timer of 4321 ms, repeated\n.* at .*leaving\.test\.mjs:3/);
    assert.match(output, /✔ next\.test\.mjs/);
  });

  it('fail where something throws after their tests', async () => {
    const { code, output } = await run({
      late: `test('passes', () => { setTimeout(() => { throw new Error('too late'); }, 20); });`,
    });
    assert.equal(code, 1, output);
    assert.match(output, /too late/);
  });

  it('are ended when one takes too long, which is named with its test', async () => {
    const { code, output } = await run({
      good: `test('passes', () => undefined);`,
      hanging: `before(() => allowSeconds(1));
         test('never ends', () => new Promise(() => setInterval(() => undefined, 4_321)));`,
    });
    assert.equal(code, 1, output);
    assert.match(
      output,
      /hanging\.test\.mjs was ended: it took more than 1 s\. It was in: hanging\.test\.mjs > never ends\./,
    );
  });

  it('are ended when one blocks the event loop, which is named', async () => {
    const { code, output } = await run({
      good: `test('passes', () => undefined);`,
      blocking: `before(() => allowSeconds(1));
         test('never ends', () => { while (true); });`,
    });
    assert.equal(code, 1, output);
    assert.match(output, /blocking\.test\.mjs was ended: its event loop was blocked .*\n.* at .*blocking\.test\.mjs:4/);
  });
});
