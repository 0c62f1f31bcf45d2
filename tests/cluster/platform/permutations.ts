import { randomBytes } from 'node:crypto';
import { test } from 'node:test';

import { permutations } from '../../../charts/testing/permutations.ts';
import { renderMeanwhile } from '../../../charts/testing.ts';
import type { Resource } from '../../../charts/testing.ts';
import { kubectlIn, output } from './cluster.ts';

const trialNamespace = `millrace-permutations-${randomBytes(3).toString('hex')}`;

/** The different resources of all permutations whose kinds the cluster has, for one namespace. */
async function resourcesFor(served: ReadonlySet<string>): Promise<Resource[]> {
  const different = new Map<string, Resource>();
  for (const { chart, values, apis = [], needsIPv6 = false } of permutations)
    for (const resource of await renderMeanwhile(chart, { values, apis })) {
      if (!served.has(resource['apiVersion'] as string) || (needsIPv6 && resource.kind === 'Service')) continue;
      delete (resource.metadata as { namespace?: string }).namespace;
      different.set(JSON.stringify(resource), resource);
    }
  return [...different.values()];
}

/** The values that the charts take, tried on the API server: nothing of it stays. */
export function permutationsOfValues(): void {
  test('the API server takes every resource of every permutation of values', async (t) => {
    const kubectl = (...args: string[]) => kubectlIn(trialNamespace, ...args);
    const served = new Set((await kubectl('api-versions')).trim().split('\n'));
    await kubectl('create', 'namespace', trialNamespace);
    t.after(() => kubectl('delete', 'namespace', trialNamespace, '--wait=false'));
    // pods need it
    await kubectl('wait', '--for=create', 'serviceaccount/default', '--timeout=30s');
    const items = await resourcesFor(served);
    t.diagnostic(`${items.length} resources of ${permutations.length} permutations`);
    const apply = ['apply', '--server-side', '--dry-run=server', '--force-conflicts', '--validate=strict'];
    await output(
      'kubectl',
      ['--namespace', trialNamespace, ...apply, '--filename', '-'],
      JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
    );
  });
}
