import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';

import { untilPasses } from '#test/eventually.ts';
import { field, kubectl, read, sql } from './cluster.ts';
import type { Installed } from './installed.ts';
import { watchOf } from './watching.ts';

/** The desired numbers of pods of orders, one per change. */
function observeReplicas() {
  const watch = watchOf('deployment/orders', '-o', 'jsonpath={.spec.replicas}{"\\n"}');
  const seen = () => {
    const all = watch.shown().trim().split('\n').map(Number);
    return all.filter((replicas, i) => replicas !== all[i - 1]);
  };
  return { seen, close: () => watch.close() };
}

/** Orders scales by the lag of its projection. */
export function scaling(platform: Installed): void {
  describe('an EventService with spec.scaling', { concurrency: 1 }, () => {
    const patch = (scale: object | null) =>
      kubectl(
        'patch',
        'eventservice',
        'orders',
        '--type=merge',
        '--patch',
        JSON.stringify({ spec: { scaling: scale } }),
      );
    after(async () => {
      await patch(null);
      await kubectl('scale', 'deployment/orders', '--replicas=2');
    });

    test('has more pods while the projection is behind, then fewer, and does not go to and fro', async (t) => {
      await patch({ minReplicas: 2, maxReplicas: 4, lagPerReplica: 50, stabilization: '20s' });
      const replicas = observeReplicas();
      const { some, placed } = await platform.underLoad(async () => {
        // the read model can be read and not written to: the projection falls behind
        const held = sql('orders_read', 'BEGIN; LOCK TABLE orders IN SHARE MODE; SELECT pg_sleep(30); COMMIT');
        await untilPasses(() => Promise.resolve(assert.ok(replicas.seen().includes(4))), 60_000);
        const { status } = await read('eventservice/orders');
        t.diagnostic(`4 pods at ${status!['lag']} events behind`);
        await held;
      });
      await untilPasses(async () => {
        assert.equal(await field('deployment/orders', '.spec.replicas'), '2');
      }, 120_000);
      await replicas.close();
      const seen = replicas.seen();
      t.diagnostic(`pods: ${seen.join(', ')}; ${placed} orders`);
      const top = seen.indexOf(4);
      const isSorted = (numbers: number[]) => numbers.every((n, i) => i === 0 || numbers[i - 1]! < n);
      assert.ok(isSorted(seen.slice(0, top + 1)) && isSorted(seen.slice(top).toReversed()));
      assert.match(
        await kubectl('describe', 'eventservice', 'orders'),
        /Scaled .*orders from \d to 4 pods: \d+ events behind/,
      );
      await platform.allReadBack(some);
    });
  });
}
