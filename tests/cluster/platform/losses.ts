import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { untilPasses } from '#test/eventually.ts';
import { field, kubectl, kubectlIn, operatorNamespace, read, rolledOut } from './cluster.ts';
import { podsOf, services } from './installed.ts';
import type { Installed, Load } from './installed.ts';

const kafkaPods = 'strimzi.io/kind=Kafka';

/** Pods that are killed while orders are placed. */
export function losses(platform: Installed): void {
  describe('no accepted order is lost', () => {
    for (const name of [...services, 'mail-catcher', 'postgresql', 'kafka']) {
      test(`with the pods of ${name}`, async (t) => {
        const selector = name === 'kafka' ? kafkaPods : podsOf(name);
        const load = await platform.underLoad(async () => {
          await kubectl('delete', 'pod', `--selector=${selector}`, '--grace-period=0', '--force');
          await rolledOut();
          await untilPasses(() => platform.place(), 120_000);
        });
        t.diagnostic(outcome(load));
        await platform.allReadBack(load.some);
      });
    }

    test('and none is refused, while Kafka is down for half a minute', async (t) => {
      const load = await platform.underLoad(async () => {
        for (const end = performance.now() + 30_000; performance.now() < end; await sleep(1_000))
          await kubectl('delete', 'pod', `--selector=${kafkaPods}`, '--grace-period=0', '--force');
        await rolledOut();
      });
      t.diagnostic(outcome(load));
      assert.equal(load.failed, 0);
      await platform.allReadBack(load.some);
    });

    test('and no other server of PostgreSQL can use its files, nor did one for a moment', async () => {
      const locking = kubectl('exec', 'postgresql-0', '--', 'flock', '--nonblock', '/var/lib/postgresql/lock', 'true');
      await assert.rejects(locking, { code: 1 });
      // a server that finds the lock file of another one ends within a minute
      assert.equal(await field('pod/postgresql-0', '.status.containerStatuses[0].restartCount'), '0');
    });

    test('with the leading operator, which another one replaces', async (t) => {
      const leader = () =>
        kubectlIn(operatorNamespace, 'get', 'lease', 'millrace-operator', '-o', 'jsonpath={.spec.holderIdentity}');
      const before = await leader();
      let took = 0;
      const load = await platform.underLoad(async () => {
        const begin = performance.now();
        await kubectlIn(operatorNamespace, 'delete', 'pod', before.split('_')[0]!, '--grace-period=0', '--force');
        await kubectl(
          'patch',
          'streamquery',
          'new-users',
          '--type=merge',
          '--patch',
          '{"spec":{"window":{"grace":"61m"}}}',
        );
        await untilPasses(async () => {
          const { metadata, status } = await read('streamquery/new-users');
          assert.equal(status?.['observedGeneration'], metadata.generation, 'the change is reconciled');
        }, 60_000);
        took = performance.now() - begin;
        assert.notEqual(await leader(), before);
      });
      t.diagnostic(
        `the work was taken over ${(took / 1000).toFixed(1)} s after its pod was deleted by force; ${outcome(load)}`,
      );
      assert.ok(took < 20_000);
      await platform.allReadBack(load.some);
      await rolledOut(operatorNamespace);
    });
  });
}

/** The number of orders, and the kinds of failures. */
function outcome({ placed, failed, failures }: Load): string {
  const kinds = new Set(failures.map((text) => text.replace(/ after \d+ ms$/, '')));
  return [`${placed} orders, ${failed} failures`, ...kinds].join('; ');
}
