import assert from 'node:assert/strict';
import { relative } from 'node:path';
import { after, before, describe } from 'node:test';
import { pathToFileURL } from 'node:url';

import { watchResources } from './alive.ts';
import { eventually } from './eventually.ts';
import { beginFile } from './time-limit.ts';

/**
 * Runs test files in this process, one after another, each as a suite of its name: its hooks are its own, its time is limited, and it
 * fails if it leaves anything behind.
 * @param graceMs how long what a file has started may take to end after its tests
 */
export function shareProcess(files: readonly string[], graceMs = 10_000): void {
  for (const file of files)
    describe(relative('', file), async () => {
      let assertUnchanged: () => Promise<void>;
      before(() => {
        beginFile(file);
        assertUnchanged = watchProcess(graceMs);
      });
      await import(pathToFileURL(file).href);
      after(() => assertUnchanged()); // after the file's own hooks
    });
}

/** @returns an assertion that nothing has been started since that still runs, and that the process is as it was */
function watchProcess(graceMs: number): () => Promise<void> {
  const [living, state] = [watchResources(), processState()];
  const left = () => living().map(({ text }) => text);
  return async () => {
    await eventually(
      () => left().length === 0,
      () => `what the file has started ends after its tests:\n${left().join('\n')}`,
      graceMs,
    );
    const now = processState();
    const changed = Object.keys({ ...state, ...now }).filter((name) => state[name] !== now[name]);
    assert.deepEqual(changed, [], 'the file leaves the process as it was'); // names alone: values may be secret
  };
}

/** What of the process a test file could change for the ones after it, by its name. */
function processState(): Record<string, string | number | undefined> {
  // a logger adds a listener of the exit, once
  const events = process.eventNames().filter((name) => name !== 'exit');
  return {
    'current folder': process.cwd(),
    ...Object.fromEntries(events.map((name) => [`listeners of ${String(name)}`, process.listenerCount(name)])),
    ...process.env,
  };
}
