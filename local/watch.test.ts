import assert from 'node:assert/strict';
import { once, EventEmitter } from 'node:events';
import { mkdtempSync, mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { SourceWatch } from './watch.ts';

const folder = mkdtempSync(join(tmpdir(), 'millrace-watch-'));
const file = (name: string): string => join(folder, name);
const heard = new EventEmitter<{ change: [string] }>();

const watch = new SourceWatch(
  ['a', 'b'].map((name) => ({ name, main: file(`${name}/main.ts`) })),
  {
    onChange: (names, changed) => heard.emit('change', `${names.join(' ')}: ${basename(changed)}`),
    onError: (error) => {
      throw error;
    },
  },
);

/** The report after an action. */
async function change(act: () => void): Promise<string> {
  const told = once(heard, 'change');
  act();
  return ((await told) as [string])[0];
}

describe('SourceWatch', () => {
  before(() => {
    for (const name of ['a', 'b', 'shared']) mkdirSync(file(name));
    writeFileSync(file('a/main.ts'), `import '../shared/x.ts';\n`);
    writeFileSync(file('b/main.ts'), `import '../shared/x.ts';\n`);
    writeFileSync(file('shared/x.ts'), '');
  });
  after(() => {
    watch.stop();
    rmSync(folder, { recursive: true });
  });

  test('reports at once the changes since the start of the programs', async () => {
    const since = Date.now();
    utimesSync(file('b/main.ts'), new Date(), new Date(since + 60_000));
    assert.equal(await change(() => watch.start(since)), 'b: main.ts');
  });

  test('reports the programs that contain a changed file', async () => {
    const soon = new Date(Date.now() + 90_000);
    assert.equal(await change(() => utimesSync(file('a/main.ts'), soon, soon)), 'a: main.ts');
    assert.equal(await change(() => writeFileSync(file('shared/x.ts'), '// changed\n')), 'a b: x.ts');
  });

  test('follows new imports, also from a folder that is created later', async () => {
    await change(() => writeFileSync(file('a/main.ts'), `import './new/y.ts';\n`));
    const made = (): void => {
      mkdirSync(file('a/new'));
      writeFileSync(file('a/new/y.ts'), '');
    };
    assert.equal(await change(made), 'a: y.ts');
    assert.equal(await change(() => writeFileSync(file('a/new/y.ts'), '// changed\n')), 'a: y.ts');
    assert.equal(await change(() => writeFileSync(file('shared/x.ts'), '')), 'b: x.ts');
  });

  test('detects a replaced file, and a folder that is created again', async () => {
    writeFileSync(file('x.ts'), '');
    assert.equal(await change(() => renameSync(file('x.ts'), file('shared/x.ts'))), 'b: x.ts');
    assert.equal(await change(() => rmSync(file('shared'), { recursive: true })), 'b: x.ts');
    const made = (): void => {
      mkdirSync(file('shared'));
      writeFileSync(file('shared/x.ts'), '');
    };
    assert.equal(await change(made), 'b: x.ts');
    assert.equal(await change(() => writeFileSync(file('shared/x.ts'), '// changed\n')), 'b: x.ts');
  });
});
