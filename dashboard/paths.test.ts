import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { contracts } from '#contracts/index.ts';

const assets = new URL('assets/', import.meta.url);

/** The paths that a script asks the API for, with `0` where it fills something in. */
function pathsOf(script: string): string[] {
  const quoted = script.matchAll(/['`](\/(?:api|analytics)\/[^'`?]*)/g);
  return [...quoted].map(([, path]) => path!.replaceAll(/\$\{[^}]*\}/g, '0').replace(/^\/api\//, '/'));
}

test('the dashboard asks for paths of the contract', () => {
  const known = contracts.operations.map(({ path }) => new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`));
  const scripts = readdirSync(assets).filter((name) => name.endsWith('.js'));
  const asked = scripts.flatMap((name) =>
    pathsOf(readFileSync(new URL(name, assets), 'utf8')).map((path) => ({ name, path })),
  );
  assert.ok(asked.length > 0);
  for (const { name, path } of asked)
    assert.ok(
      known.some((one) => one.test(path)),
      `${name} asks for ${path}`,
    );
});
