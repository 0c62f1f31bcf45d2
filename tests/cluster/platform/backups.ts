import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { untilPasses } from '#test/eventually.ts';
import { apply, helm, kubectl, rolledOut } from './cluster.ts';
import { chart, release } from './installed.ts';
import type { Installed, Order } from './installed.ts';

const cronJob = 'postgresql-backup';

/** The steps of docs/disaster.md for a database that is put back. */
export function backups(platform: Installed): void {
  describe('a backup of the bundled PostgreSQL', () => {
    before(async () => {
      await helm('upgrade', release, chart, '--reuse-values', '--set', 'postgresql.bundled.backup.enabled=true');
      await rolledOut();
    });
    after(async () => {
      await kubectl('delete', 'job', 'first-backup', 'restore-orders', '--ignore-not-found');
      await helm('rollback', release);
      await kubectl('delete', 'pvc', 'postgresql-backups', '--ignore-not-found', '--wait=false');
      await rolledOut();
    });

    test('puts orders back, and the topic the orders of after', async (t) => {
      const early = await platform.place();
      await kubectl('create', 'job', 'first-backup', `--from=cronjob/${cronJob}`);
      t.diagnostic((await ended('first-backup')).trim().split('\n').at(-1)!);
      const late: Order[] = [];
      for (let count = 0; count < 20; count += 1) late.push(await platform.place());
      await platform.allReadBack(late.map(({ id }) => id));

      await kubectl('scale', 'deployment', 'gateway', '--replicas=0');
      await restoreOrders();
      t.diagnostic((await ended('restore-orders')).trim());
      // the Kafka of these tests has no ACLs: a service's own user may read the topics with any group
      const recover = ['exec', 'deployment/orders', '--', 'node', 'services/orders/recover.ts'];
      const recovered = await untilPasses(() => kubectl(...recover), 60_000);
      t.diagnostic(recovered.trim().split('\n').at(-1)!);
      await kubectl('scale', 'deployment', 'gateway', '--replicas=2');
      await rolledOut();

      for (const { id } of [early, ...late])
        await untilPasses(async () => {
          const { status, body } = await platform.gateway.call<unknown[]>('GET', `/api/orders/${id}/events`);
          assert.equal(status, 200, `the events of order ${id}`);
          assert.equal(body.length, 1);
        }, 60_000);
      // a database that draws the ids of before again would lose it at its consumers
      const next = await untilPasses(() => platform.place(), 60_000);
      assert.ok(late.every(({ id }) => id < next.id));
      await platform.allReadBack([next.id, ...late.map(({ id }) => id)]);
    });
  });
}

/** The output of a job that has succeeded. @throws with its output when it has failed */
async function ended(job: string): Promise<string> {
  const wait = await kubectl('wait', '--for=condition=Complete', `job/${job}`, '--timeout=120s').catch(String);
  const logs = await kubectl('logs', `job/${job}`);
  assert.match(wait, /condition met/, logs);
  return logs;
}

async function restoreOrders(): Promise<void> {
  const dryRun = ['--dry-run=client', '--output=json'];
  const job = JSON.parse(await kubectl('create', 'job', 'restore-orders', `--from=cronjob/${cronJob}`, ...dryRun)) as {
    spec: { template: { spec: { containers: { env: { name: string; value?: string }[] }[] } } };
  };
  job.spec.template.spec.containers[0]!.env.push({ name: 'RESTORE_DATABASE', value: 'orders' });
  await apply(job);
}
