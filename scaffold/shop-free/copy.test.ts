import assert from 'node:assert/strict';
import { existsSync, globSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { copyWithoutShop } from './copy.ts';
import { linksOf, scriptsOf } from './documents.ts';

const root = join(import.meta.dirname, '../..');

const skip = existsSync(join(root, '.git')) ? false : 'the project is not a git clone';

describe('a copy without the shop', { skip }, () => {
  let folder: string;
  let target: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-copy-'));
    target = join(folder, 'acme');
    await copyWithoutShop(root, target);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('has the platform and a small service, and only commands whose programs it has', () => {
    assert.deepEqual(readdirSync(join(target, 'services')).toSorted(), [
      'README.md',
      'analytics',
      'contracts',
      'gateway',
      'items',
    ]);
    assert.ok(!existsSync(join(target, 'node_modules')));
    const { scripts } = JSON.parse(readFileSync(join(target, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    assert.ok('start' in scripts && 'new' in scripts);
    assert.ok(!Object.keys(scripts).some((name) => name.startsWith('bench') || name === 'test:new'));
    assert.doesNotMatch(readFileSync(join(target, 'local/start.mjs'), 'utf8'), /bench/);
  });

  test('has no page that names a missing command', () => {
    const { scripts } = JSON.parse(readFileSync(join(target, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    const missing = globSync('**/*.md', { cwd: target }).flatMap((page) =>
      scriptsOf(readFileSync(join(target, page), 'utf8'))
        .filter((script) => !(script in scripts))
        .map((script) => `${page}: npm run ${script}`),
    );
    assert.deepEqual(missing, []);
    assert.doesNotMatch(readFileSync(join(target, 'docs/streams.md'), 'utf8'), /^## How fast/m);
  });

  test('has no link to a missing file, and no panel of the shop', () => {
    const pages = globSync('**/*.md', { cwd: target });
    assert.ok(pages.includes('CONTRIBUTING.md') && pages.includes('docs/architecture.md'));
    const missing = pages.flatMap((page) =>
      linksOf(readFileSync(join(target, page), 'utf8'))
        .filter((link) => !existsSync(join(target, dirname(page), link)))
        .map((link) => `${page}: ${link}`),
    );
    assert.deepEqual(missing, []);
    assert.doesNotMatch(readFileSync(join(target, 'CONTRIBUTING.md'), 'utf8'), /bench:|shop-free/);
    assert.match(readFileSync(join(target, 'docs/streams.md'), 'utf8'), /^\| .*query -- dump/m);
    const dashboard = readFileSync(join(target, 'dashboard/index.html'), 'utf8');
    assert.deepEqual(
      [...dashboard.matchAll(/<section[^>]*aria-labelledby="(\w+)-title"/g)].map(([, name]) => name),
      ['token', 'health', 'queries'],
    );
    assert.doesNotMatch(dashboard, /shop/);
  });

  test('refuses a folder that is not empty', async () => {
    writeFileSync(join(folder, 'file'), '');
    await assert.rejects(copyWithoutShop(root, folder), /is not empty: name a new folder/);
    await assert.rejects(copyWithoutShop(root, join(folder, 'file')), /is a file: name a new folder/);
  });
});
