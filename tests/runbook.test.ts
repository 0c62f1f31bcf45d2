import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

const root = join(import.meta.dirname, '..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const [, health = ''] = /^## Health\n(.*?)^## /ms.exec(read('docs/operations.md'))!;
/** The rows of the table of what a failing check says. */
const rows = health.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| `/'));

/** Checks beside those of the type `Check` whose names begin with check: they are called by such ones, or take the pool. */
const alsoChecks = ['ping', 'assertSessions', 'assertSession', 'checkFeed', 'assertUp', 'withTimeout'];
const check = new RegExp(
  `^( *)(?:export )?(?:async )?(?:#?check\\w*\\(\\): (?:Promise<void>|void)|function (?:${alsoChecks.join('|')})\\([^\\n]*) \\{\\n(.*?)\\n\\1\\}`,
  'gms',
);
/** The functions of a file that are no methods. */
const helper = /^function (\w+)\(.*?\n(.*?)^\}/gms;
const code = /'(ERR_\w+)'/g;

/** The codes that the health checks of a source file throw, by themselves or by the functions of their file. */
function codesOf(file: string): string[] {
  const text = read(file);
  const helpers = new Map([...text.matchAll(helper)].map(([, name, body]) => [name!, body!]));
  return [...text.matchAll(check)].flatMap(([, , body = '']) => {
    const called = [...helpers].filter(([name]) => body.includes(`${name}(`)).map(([, own]) => own);
    return [body, ...called].flatMap((own) => [...own.matchAll(code)].map(([, found]) => found!));
  });
}

describe('the runbook', () => {
  test('has a row for each error that a health check throws', () => {
    const files = globSync('{platform,streams,services}/**/*.ts', {
      cwd: root,
      exclude: ['**/*.test.ts', '**/testing/**', '**/node_modules/**', 'prisma/**'],
    });
    const codes = new Set(files.flatMap(codesOf));
    assert.ok(codes.size >= 20, [...codes].join(', '));
    assert.deepEqual(
      [...codes].filter((name) => !rows.some((row) => row.includes(`\`${name}\``))),
      [],
    );
  });

  test('has a row for each reason that the gateway has for a service', () => {
    const text = read('services/gateway/system-health.ts');
    const timeoutMs = Number(/timeoutMs = ([\d_]+)/.exec(text)![1]!.replaceAll('_', ''));
    const reasons = [...text.matchAll(/(?:return|\|\|) (?:'([^']+)'|`(no answer[^`]+)`)/g)].map(([, plain, template]) =>
      (plain ?? template)!.replace('${timeoutMs}', String(timeoutMs)),
    );
    assert.ok(reasons.length >= 5, reasons.join(', '));
    assert.deepEqual(
      reasons.filter((reason) => !rows.some((row) => row.includes(`\`${reason}\``))),
      [],
    );
  });
});
