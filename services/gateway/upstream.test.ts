import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { idleMs } from './upstream.ts';

test('an idle connection ends before a pod that is to go stops serving', () => {
  const values = readFileSync(new URL('../../charts/millrace/values.yaml', import.meta.url), 'utf8');
  const { defaults } = parse(values) as { defaults: { shutdownDelaySeconds: number } };
  assert.ok(idleMs < defaults.shutdownDelaySeconds * 1000, `${idleMs} ms, ${defaults.shutdownDelaySeconds} s`);
});
