import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';

import { eventServices } from '#platform/declarations';

import { linksOf, scriptsOf } from '../scaffold/shop-free/documents.ts';

const root = join(import.meta.dirname, '..');
const pages = globSync('{*.md,{docs,platform,streams,operators,services,scaffold,charts}/**/*.md}', {
  cwd: root,
  exclude: ['scaffold/shop-free/files/**', '**/node_modules/**'],
});
const read = (page: string) => readFileSync(join(root, page), 'utf8');

describe('the documents', () => {
  test('link only to existing files', () => {
    const missing = pages.flatMap((page) =>
      linksOf(read(page))
        .filter((link) => !existsSync(join(root, dirname(page), link)))
        .map((link) => `${page}: ${link}`),
    );
    assert.deepEqual(missing, []);
  });

  test('name the declared ports', () => {
    const ports = new Map(eventServices().map(({ metadata, spec }) => [metadata.name, spec.port]));
    for (const [, name, port] of read('README.md').matchAll(/^\| `([\w-]+)` +\| (\d+) +\|/gm))
      assert.equal(Number(port), ports.get(name!), name);
  });

  test('name only existing commands', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const missing = pages.flatMap((page) =>
      scriptsOf(read(page))
        .filter((script) => !(script in scripts))
        .map((script) => `${page}: npm run ${script}`),
    );
    assert.deepEqual(missing, []);
  });

  test('name only existing files where they say where a thing is', () => {
    const tables = pages.flatMap((page) => {
      const table = read(page).split('## Where is...')[1];
      return table === undefined ? [] : [{ page, table }];
    });
    assert.ok(tables.length >= 4);
    const missing = tables.flatMap(({ page, table }) =>
      [...table.matchAll(/`([\w./-]+\.ts)`/g)]
        .map(([, file]) => file!)
        .filter((file) => !existsSync(join(root, file)) && !existsSync(join(root, dirname(page), file)))
        .map((file) => `${page}: ${file}`),
    );
    assert.deepEqual(missing, []);
  });
});
