import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';

import { apply, conditionOf, kubectl, read } from './cluster.ts';
import { watchOf } from './watching.ts';

/** A rebuild of the read model of orders. */
export function rebuilds(): void {
  describe('a ProjectionRebuild', { concurrency: 1 }, () => {
    const rebuild = (name: string, spec: object) =>
      apply({ apiVersion: 'millrace.dev/v1beta1', kind: 'ProjectionRebuild', metadata: { name }, spec });
    after(() => kubectl('delete', 'projectionrebuilds', '--all', '--wait=false'));

    test('builds a version beside the one in use, shows its progress, switches, and is deleted after its TTL', async (t) => {
      const begin = performance.now();
      const watch = watchOf('prb');
      const spec = { service: 'orders', group: 'orders-projection', timeoutSeconds: 300, ttlSecondsAfterFinished: 5 };
      await rebuild('anew', spec);
      await kubectl('wait', '--for=condition=Complete', 'prb/anew', '--timeout=180s');
      t.diagnostic(`switched after ${((performance.now() - begin) / 1000).toFixed(0)} s`);
      const shown = await watch.until(/^anew +True +Switched +100% +0 /m);
      await watch.close();
      assert.match(shown, /^anew +False +(Requested|Building) +\d+%/m);
      await kubectl('wait', '--for=delete', 'prb/anew', '--timeout=30s');
    });

    test('reports why it is impossible', async () => {
      await rebuild('impossible', { service: 'notifications', group: 'notifications' });
      await kubectl('wait', '--for=condition=Failed', 'prb/impossible', '--timeout=30s');
      const failed = conditionOf(await read('prb/impossible'), 'Failed');
      assert.equal(failed?.message, 'the group notifications has no read model that can be built anew');
    });
  });
}
