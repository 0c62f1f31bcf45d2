import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';

import { Changes } from './changes.ts';

describe('Changes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-changes-'));
  after(() => rmSync(folder, { recursive: true }));

  test('writes nothing if a text cannot be formatted', async () => {
    const changes = new Changes(folder);
    changes.create('a/first.ts', 'export const first = 1');
    changes.create('second.ts', 'export const second = {');
    await assert.rejects(changes.write(), SyntaxError);
    assert.deepEqual(readdirSync(folder), []);
  });

  test('writes formatted texts, and says which are new', async () => {
    const changes = new Changes(folder);
    changes.create('a/first.ts', 'export const first = 1');
    assert.deepEqual(await changes.write(), ['wrote   a/first.ts']);
    assert.equal(readFileSync(join(folder, 'a/first.ts'), 'utf8'), 'export const first = 1;\n');
    const again = new Changes(folder);
    again.edit('a/first.ts', (text) => text);
    assert.deepEqual(await again.write(), []);
  });
});
