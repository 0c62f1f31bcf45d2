import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { copyWithoutShop } from './copy.ts';

const root = join(import.meta.dirname, '../..');

const skip = existsSync(join(root, '.git')) ? false : 'the project is no git clone';

describe('a copy without the shop', { skip }, () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-copy-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('has the platform and a small service, and no command that it has no program for', async () => {
    const target = join(folder, 'acme');
    await copyWithoutShop(root, target);
    assert.deepEqual(readdirSync(join(target, 'services')).toSorted(), ['analytics', 'contracts', 'gateway', 'items']);
    assert.ok(!existsSync(join(target, 'node_modules')));
    const { scripts } = JSON.parse(readFileSync(join(target, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    assert.ok('start' in scripts && 'new' in scripts);
    assert.ok(!Object.keys(scripts).some((name) => name.startsWith('bench') || name === 'test:new'));
    assert.doesNotMatch(readFileSync(join(target, 'local/start.mjs'), 'utf8'), /bench/);
  });

  test('goes into no folder that has something in it', async () => {
    writeFileSync(join(folder, 'file'), '');
    await assert.rejects(copyWithoutShop(root, folder), /is not empty: name a folder that is to be made/);
    await assert.rejects(copyWithoutShop(root, join(folder, 'file')), /is a file: name a folder that is to be made/);
  });
});
