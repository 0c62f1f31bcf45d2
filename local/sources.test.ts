import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { eventServices } from '#platform/declarations';

import { sourcesOf } from './sources.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'millrace-sources-'));

function write(files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
}

function sources(main: string, except?: string): string[] {
  return sourcesOf(join(folder, main), except && join(folder, except))
    .map((file) => relative(folder, file))
    .toSorted();
}

describe('sourcesOf', () => {
  after(() => rmSync(folder, { recursive: true }));

  test('follows imports of every form and cycles, and ignores types and packages', () => {
    write({
      'a.ts': `import pg from 'pg';\nimport type { T } from './types.ts';\nimport {\n  b,\n  type C,\n} from './b.ts';\nimport './effect.ts';\n`,
      'b.ts': `export * from './c/d.ts';\nexport type { T } from './types.ts';\nexport const b = 1;\nawait import('./lazy.ts');\n`,
      'c/d.ts': `import { b } from '../b.ts';\nimport data from '../data.json' with { type: 'json' };\nimport '../missing.ts';\n`,
      'lazy.ts': '',
      'effect.ts': '',
      'types.ts': '',
    });
    assert.deepEqual(sources('a.ts'), ['a.ts', 'b.ts', 'c/d.ts', 'data.json', 'effect.ts', 'lazy.ts', 'missing.ts']);
  });

  test('follows imports in double quotes, as an editor inserts them before the file is formatted', () => {
    write({
      'double.ts': `import { e } from "./e.ts";\nimport "./f.ts";\nawait import("./g.ts");\nnew URL("h.json", import.meta.url);\n`,
    });
    assert.deepEqual(sources('double.ts'), ['double.ts', 'e.ts', 'f.ts', 'g.ts', 'h.json']);
  });

  test('includes files and folders that modules read', () => {
    write({
      'site.ts': `const site = new URL('./site/', import.meta.url);\nconst data = new URL('declared', import.meta.url);\n`,
      'site/index.html': '',
      'site/assets/a.js': '',
      'declared/x.yaml': '',
    });
    assert.deepEqual(sources('site.ts', 'declared'), [
      'site',
      'site.ts',
      'site/assets',
      'site/assets/a.js',
      'site/index.html',
    ]);
  });

  test('includes shared folders, and of the services only its own folder', () => {
    for (const { metadata } of eventServices()) {
      const files = sourcesOf(join(root, 'services', metadata.name, 'main.ts')).map((file) => relative(root, file));
      assert.ok(files.includes(relative(root, fileURLToPath(import.meta.resolve('#platform/lifecycle')))));
      const others = eventServices().filter((other) => other.metadata.name !== metadata.name);
      for (const other of others)
        assert.ok(!files.some((file) => file.startsWith(`services/${other.metadata.name}/`)), metadata.name);
    }
  });
});
