// Finds the test files, and those that can share a process: starting one for each takes longer than the tests of most.

import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { dependenciesOf } from '#local/sources.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What tests name that change or measure their process, start another one, or use the network, as those with servers do. */
const needsOwn =
  /\b(process|mock|globalThis|registry)\b|'node:(child_process|cluster|dgram|http2?|https|inspector|net|tls|v8|vm|worker_threads)'|'kafkajs/;
const kafka = join(root, 'tests/support/kafka.ts');
const helper = /\/(tests\/.*|testing(\/[^/]+)?)\.ts$/;

/** All test files but those of the whole platform, which have a command of their own. */
export function testFiles(): { sharing: string[]; others: string[] } {
  const files = globSync('*/**/*.test.ts', { cwd: root, exclude: ['node_modules', 'tests/system'] });
  const { sharing = [], others = [] } = Object.groupBy(
    files.toSorted().map((file) => join(root, file)),
    (file) => (canShare(file) ? 'sharing' : 'others'),
  );
  return { sharing, others };
}

/** Whether a test file can share a process: neither it nor a helper of tests that it imports names what needs one of its own. */
export function canShare(file: string): boolean {
  for (const source of sourcesOf(file)) if (needsOwn.test(readFileSync(source, 'utf8'))) return false;
  return true;
}

export function usesKafka(file: string): boolean {
  return sourcesOf(file).some((source) => source === kafka);
}

/** A test file, and the helpers of tests that it imports, directly or not. */
function* sourcesOf(file: string): Generator<string, void> {
  const sources = new Set([file]);
  for (const source of sources) {
    yield source;
    for (const next of dependenciesOf(source)) if (helper.test(next) && existsSync(next)) sources.add(next);
  }
}
