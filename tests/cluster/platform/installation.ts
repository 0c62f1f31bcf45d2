import assert from 'node:assert/strict';
import { test } from 'node:test';

import { untilPasses } from '#test/eventually.ts';
import { helm, kubectl, rolledOut } from './cluster.ts';
import type { Resource } from './cluster.ts';
import { chart, podsOf, release } from './installed.ts';
import type { Installed } from './installed.ts';

/** The functions of an installation, and its refusals. */
export function installation(platform: Installed): void {
  test('helm test places an order and reads it back', async () => {
    assert.match(await helm('test', release, '--logs'), /order \d+ is read back/);
  });

  test('every resource is ready', async () => {
    await untilPasses(async () => {
      const { items } = JSON.parse(await kubectl('get', 'eventservices,streamqueries', '-o', 'json')) as {
        items: (Resource & { kind: string })[];
      };
      for (const { kind, metadata, status } of items) {
        const ready = status?.conditions?.find(({ type }) => type === 'Ready');
        assert.equal(ready?.status, 'True', `${kind} ${metadata.name}: ${ready?.message}`);
      }
    }, 120_000);
  });

  test('a service reaches only the services that it declares to call', async () => {
    const reach = (from: string, to: string) => {
      const script = `fetch('http://${to}/livez', { signal: AbortSignal.timeout(3000) }).then((r) => console.log(r.status), () => console.log('refused'))`;
      return kubectl('exec', `deployment/${from}`, '-c', from, '--', 'node', '-e', script);
    };
    assert.equal((await reach('orders', 'users:8081')).trim(), '200');
    assert.equal((await reach('users', 'orders:8082')).trim(), 'refused');
    assert.equal((await reach('gateway', 'postgresql:5432')).trim(), 'refused');
  });

  test('a wrong setting is reported and does not stop the platform', async () => {
    await helm('upgrade', release, chart, '--reuse-values', '--set', 'services.users.config.DATABASE_POOL_SIZE=none');
    try {
      await untilPasses(async () => {
        const pods = await kubectl('logs', `--selector=${podsOf('users')}`, '--container=users', '--tail=-1');
        assert.match(pods, /DATABASE_POOL_SIZE must be integer/);
      }, 60_000);
      await platform.place();
    } finally {
      await helm('rollback', release);
    }
    await rolledOut();
  });
}
