import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { it } from 'node:test';

import { killOverdue } from './overdue.ts';

const overdue = new URL('overdue.ts', import.meta.url).href;

/** A process that says until when it may run, and then that it has said so. */
async function announce(env: Record<string, string>, ms: number) {
  const source = `import { announceDeadline } from '${overdue}';
    announceDeadline(Date.now() + ${ms}, 'hanging.test.ts');
    console.log('said');
    setInterval(() => undefined, 1_000);`;
  const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '--eval', source], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}

it('a process that hangs when its time is over is killed, and named, and no other one', async (t) => {
  const said = t.mock.method(console, 'error', () => undefined);
  const { env, stop } = killOverdue(0);
  t.after(stop);
  const [hanging, inTime] = await Promise.all([announce(env, 0), announce(env, 60_000)]);
  t.after(() => inTime.kill('SIGKILL'));
  hanging.kill('SIGSTOP'); // nothing in it runs any more
  const [, signal] = (await once(hanging, 'exit')) as [null, string];
  assert.equal(signal, 'SIGKILL');
  assert.equal(inTime.exitCode ?? inTime.signalCode, null);
  assert.match(
    String(said.mock.calls[0]?.arguments[0]),
    /^hanging\.test\.ts was killed: its time was over, and it did not end itself$/,
  );
});
