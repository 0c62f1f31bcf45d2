import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';

import { mutants } from './list.ts';
import type { Mutant } from './mutant.ts';
import { faultsOf, hasTest, mutate } from './mutant.ts';
import { faultOfRun, runTest } from './named-test.ts';
import { isMissed } from './schedules.ts';

const root = join(import.meta.dirname, '../..');

describe('the mutants', () => {
  it('have names of their own, and fit the code and the tests', () => {
    assert.deepEqual(
      mutants.flatMap((mutant) => faultsOf(root, mutant).map((fault) => `${mutant.name}: ${fault}`)),
      [],
    );
    assert.equal(new Set(mutants.map(({ name }) => name)).size, mutants.length);
    const page = readFileSync(join(root, 'docs/mutants.md'), 'utf8');
    for (const { name, breaks } of mutants) {
      assert.ok(page.includes(`\`${name}\``), `docs/mutants.md has no ${name}`);
      assert.match(name, /^[a-z0-9]+(-[a-z0-9]+)*$/);
      assert.match(breaks, /^[A-Z].*[^.]$/, `${name}: a sentence without its full stop`);
    }
  });

  it('of the outbox, the inbox and the stream queries say whether schedules find them, or why not', () => {
    const silent = mutants.filter(
      ({ file, schedules }) => /^(platform\/(outbox|inbox)|streams)\//.test(file) && schedules === undefined,
    );
    assert.deepEqual(
      silent.map(({ name }) => name),
      [],
    );
    for (const { name, schedules } of mutants)
      if (typeof schedules === 'string')
        assert.match(schedules, /^[A-Z].*[^.]$/, `${name}: a sentence without its full stop`);
  });

  it('count against the schedules only where these have to find them, and do not', () => {
    const played = (schedules: true | string, anomalies?: number) =>
      isMissed({ mutant: { schedules }, summary: anomalies === undefined ? undefined : { schedules: 100, anomalies } });
    assert.deepEqual([played(true, 1), played('Because', 0), played('Because', 1)], [false, false, false]);
    assert.deepEqual([played(true, 0), played(true), played('Because')], [true, true, true]);
  });

  it('say what no longer fits', () => {
    const fitting = mutants[0]!;
    const faults = (change: Partial<Mutant>) => faultsOf(root, { ...fitting, ...change }).join();
    assert.equal(faults({}), '');
    assert.match(faults({ file: 'gone.ts' }), /^there is no gone\.ts any more$/);
    assert.match(faults({ from: 'this is nowhere' }), /^the text to replace is 0 times in /);
    assert.match(faults({ to: fitting.from }), /^it changes nothing$/);
    assert.match(faults({ test: 'is not there' }), / has no test "is not there"$/);
  });

  it('replace a text that is there once, and no other', () => {
    const mutant = { file: 'f', from: 'a + b', to: '$&a' };
    assert.equal(mutate('x(a + b)', mutant), 'x($&a)');
    for (const [text, times] of [
      ['a - b', 0],
      ['a + b; a + b', 2],
    ] as const)
      assert.throws(() => mutate(text, mutant), new RegExp(`^Error: the text to replace is ${times} times in f`));
  });

  it('know the names of tests, also those of templates', () => {
    const file = `it('isn\\'t', f); test("a 'b'", f); it(\n\`is \${what} \${x}: (c)\`, f); // exit('no')`;
    for (const name of [`isn't`, `a 'b'`, 'is one two: (c)']) assert.ok(hasTest(file, name), name);
    for (const name of ['no', 'is one', 'is one two: c', 'b']) assert.ok(!hasTest(file, name), name);
  });

  it('are found by the result of the one test', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-mutants-test-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const source = `import { describe, it } from 'node:test';
      it('fails', () => { throw new Error('so'); });
      it.skip('is skipped', () => {});
      describe('all of them', () => {
        it('passes, with a # and a (', () => {});
        it('does not pass', () => {});
      });
      it('does not end', () => new Promise(() => setInterval(() => {}, 1_000)));
      import { eventually } from ${JSON.stringify(pathToFileURL(join(root, 'tests/support/eventually.ts')))};
      it('waits in vain', () => eventually(() => false, 'never', 60_000));`;
    writeFileSync(join(folder, 'a.test.ts'), source);
    writeFileSync(join(folder, 'broken.test.ts'), `${source};;(`);
    const signal = new AbortController().signal;
    const verdict = async (test: string, testFile = 'a.test.ts', limits: { ms?: number; waitMs?: number } = {}) =>
      (await runTest(folder, { testFile, test }, {}, { signal, ...limits })).verdict;
    const verdicts = await Promise.all([
      verdict('fails'),
      verdict('is skipped'),
      verdict('passes, with a # and a ('),
      verdict('pass'),
      verdict('fails', 'broken.test.ts'),
      verdict('does not end', undefined, { ms: 2_000 }),
      verdict('waits in vain', undefined, { waitMs: 100 }),
    ]);
    assert.deepEqual(verdicts, ['failed', 'skipped', 'passed', 'none', 'none', 'late', 'failed']);
  });

  it('that are not found say which run did not end as it should', () => {
    assert.deepEqual([faultOfRun('without', 'passed'), faultOfRun('with', 'failed')], [undefined, undefined]);
    assert.equal(faultOfRun('without', 'failed'), 'the test fails without the bug');
    assert.equal(faultOfRun('with', 'passed'), 'the test passes with the bug');
    assert.equal(faultOfRun('without', 'late'), 'the test has no result after 60 s without the bug');
    assert.equal(faultOfRun('with', 'late'), 'the test has no result after 60 s with the bug');
  });
});
