import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { agentFile, chaosObjects } from './pod.ts';

const root = join(import.meta.dirname, '../../..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> };
/** the folders of the image */
const folders = new Set(read('.dockerignore').match(/(?<=^!)\w+$/gm));

/** The files that the pod mounts below `tests`. */
function mounted(): Set<string> {
  const objects = chaosObjects({ image: 'image', kafka: 'kafka', bootstrap: 'kafka:9092', ca: undefined });
  const pod = objects.at(-1) as { spec: { volumes: { configMap: { items: { path: string }[] } }[] } };
  return new Set(pod.spec.volumes.flatMap(({ configMap }) => configMap.items.map(({ path }) => `tests/${path}`)));
}

/** What a file loads: its imports but those of types alone. */
function importsOf(file: string): string[] {
  const imports = /^(?:import|export) (?!type )(?:[^;']*? from )?'([^']+)';|\bimport\('([^']+)'\)/gm;
  return [...read(file).matchAll(imports)].map(([, name, dynamic]) => (name ?? dynamic)!);
}

test('the pod has every file that the agent loads', () => {
  const files = mounted();
  const loaded = new Set<string>();
  const missing: string[] = [];
  const load = (file: string): void => {
    if (loaded.has(file)) return;
    loaded.add(file);
    for (const name of importsOf(file)) {
      const isThere = name.startsWith('.') || name.startsWith('#') ? loadFile(file, name) : isInstalled(name);
      if (!isThere) missing.push(`${file}: ${name}`);
    }
  };
  const loadFile = (file: string, name: string): boolean => {
    const url = name.startsWith('.') ? new URL(name, pathToFileURL(join(root, file))).href : import.meta.resolve(name);
    const path = relative(root, fileURLToPath(url));
    if (!path.startsWith('tests/')) return folders.has(path.split('/')[0]!);
    if (files.has(path)) load(path);
    return files.has(path);
  };
  const isInstalled = (name: string) =>
    name.startsWith('node:') || name.split('/', name.startsWith('@') ? 2 : 1).join('/') in dependencies;
  load(agentFile);
  assert.deepEqual(missing, []);
  assert.ok(loaded.size > 10, [...loaded].join(', '));
});
