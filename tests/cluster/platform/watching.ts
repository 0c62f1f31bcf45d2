import { spawn } from 'node:child_process';
import { once } from 'node:events';

import { untilPasses } from '#test/eventually.ts';
import { namespace } from './cluster.ts';

/** `kubectl get -w` of a resource or a kind. */
export function watchOf(what: string, ...how: string[]) {
  let shown = '';
  const args = ['--namespace', namespace!, 'get', what, '--watch', ...how];
  const child = spawn('kubectl', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  child.stdout.on('data', (part: Buffer) => (shown += String(part)));
  return {
    shown: () => shown,
    /** The output, once it matches. */
    until: (pattern: RegExp) =>
      untilPasses(() => {
        if (!pattern.test(shown)) throw new Error(`${String(pattern)} is not in\n${shown}`);
        return Promise.resolve(shown);
      }, 60_000),
    async close() {
      child.kill();
      await exited;
    },
  };
}
