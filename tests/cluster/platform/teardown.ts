import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { kubectl, namespace, output } from './cluster.ts';

const skip =
  process.env['MILLRACE_TEARDOWN'] === undefined && 'MILLRACE_TEARDOWN does not allow to delete the namespace';

/** The commands of docs/kubernetes.md that delete the platform with its data, for a namespace. */
function documentedCommands(where: string): string[] {
  const page = readFileSync(new URL('../../../docs/kubernetes.md', import.meta.url), 'utf8');
  const [, section = ''] = page.split('## Uninstalling');
  const [, block = ''] = /```sh\n([^]*?)```/.exec(section) ?? [];
  return block
    .trim()
    .split('\n')
    .map((line) => line.replace('-n millrace', `-n ${where}`).replace('namespace millrace', `namespace ${where}`));
}

/** Deletes the platform for good, after every other test. */
export function teardown(): void {
  test(
    'the documented commands delete the platform with its namespace, which waits for no finalizer',
    { skip },
    async () => {
      const finalizers = await kubectl(
        'get',
        'kafkatopics',
        '-o',
        'jsonpath={range .items[*]}{.metadata.finalizers}{"\\n"}{end}',
      );
      const lines = finalizers.trim().split('\n');
      assert.ok(lines.length > 5 && lines.every((line) => line.includes('strimzi.io/topic-operator')), finalizers);
      const commands = documentedCommands(namespace!);
      assert.ok(commands.length >= 3);
      for (const command of commands) {
        const [program = '', ...args] = command.split(' ');
        await output(program, [...args, '--timeout=2m']);
      }
      assert.equal(await output('kubectl', ['get', 'namespace', namespace!, '--ignore-not-found']), '');
    },
  );
}
