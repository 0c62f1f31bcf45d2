// The installed platform of MILLRACE_NAMESPACE, from within the cluster: orders, a rolling upgrade and lost pods under load,
// and what an uninstall leaves.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

import { eventServices } from '#kit/declarations.ts';

import { eventually, newOrder, newUser } from '../../platform/client.ts';
import { apply, field, gatewayFrom, helm, kubectl, rolledOut, scriptPod, withoutPlatform } from './cluster.ts';

const chart = fileURLToPath(new URL('../../../charts/millrace', import.meta.url));
const loadScript = readFileSync(new URL('load.mjs', import.meta.url), 'utf8');
const waiting = 'setInterval(() => {}, 1000); process.on("SIGTERM", () => process.exit(0));';
const release = 'millrace';
/** The pods of a workload; those of its migrations have the name alone. */
const podsOf = (name: string) => `app.kubernetes.io/name=${name},app.kubernetes.io/instance=${release}`;
const services = eventServices().map(({ metadata }) => metadata.name);

interface Order {
  id: number;
  version: number;
  totalAmount: number;
}

/** What became of the orders of the load: how many, the ids of the first, the middle and the last, and what failed first. */
interface Load {
  placed: number;
  some: number[];
  failed: number;
  failures: string[];
}

describe('the platform in a cluster', { skip: withoutPlatform }, () => {
  let image: string;
  const gateway = gatewayFrom('client');

  before(async () => {
    await rolledOut();
    image = await field('deployment/gateway', '.spec.template.spec.containers[0].image');
    for (const object of scriptPod('client', image, waiting)) await apply(object);
    await kubectl('wait', '--for=condition=Ready', 'pod/client', '--timeout=60s');
  });
  after(async () => {
    await kubectl('delete', 'pod,configmap', 'client', 'load', '--ignore-not-found', '--wait=false');
  });

  /** Orders while something happens; what became of them. */
  async function underLoad(happening: () => Promise<void>): Promise<Load> {
    await kubectl('delete', 'pod,configmap', 'load', '--ignore-not-found');
    for (const object of scriptPod('load', image, loadScript)) await apply(object);
    await eventually(async () => assert.match(await kubectl('logs', 'load'), /user \d+/), 60_000);
    await happening();
    await kubectl('exec', 'load', '--', 'sh', '-c', 'kill -TERM 1');
    await kubectl('wait', '--for=jsonpath={.status.phase}=Succeeded', 'pod/load', '--timeout=60s');
    const lines = (await kubectl('logs', 'load')).trim().split('\n');
    return JSON.parse(lines.at(-1)!) as Load;
  }

  /** Asserts that the read model has the orders. */
  async function allReadBack(ids: number[]): Promise<void> {
    for (const id of ids.toReversed())
      await eventually(async () => {
        assert.equal((await gateway.call('GET', `/api/orders/${id}`)).status, 200, `order ${id}`);
      }, 120_000);
  }

  const place = async () => {
    const user = await gateway.call<{ id: number }>('POST', '/api/users', newUser('cluster'));
    assert.equal(user.status, 201);
    const order = await gateway.call<Order>('POST', '/api/orders', newOrder(user.body.id));
    assert.equal(order.status, 201, JSON.stringify(order.body));
    return order.body;
  };

  test('helm test places an order and reads it back', async () => {
    assert.match(await helm('test', release, '--logs'), /order \d+ is read back/);
  });

  test('every resource says that it is ready', async () => {
    await eventually(async () => {
      const { items } = JSON.parse(await kubectl('get', 'eventservices,streamqueries', '-o', 'json')) as {
        items: {
          kind: string;
          metadata: { name: string };
          status?: { conditions?: { type: string; status: string; message: string }[] };
        }[];
      };
      for (const { kind, metadata, status } of items) {
        const ready = status?.conditions?.find(({ type }) => type === 'Ready');
        assert.equal(ready?.status, 'True', `${kind} ${metadata.name}: ${ready?.message}`);
      }
    }, 120_000);
  });

  test('a service reaches what it is declared to call, and nothing else', async () => {
    const reach = (from: string, to: string) => {
      const script = `fetch('http://${to}/livez', { signal: AbortSignal.timeout(3000) }).then((r) => console.log(r.status), () => console.log('refused'))`;
      return kubectl('exec', `deployment/${from}`, '-c', from, '--', 'node', '-e', script);
    };
    assert.equal((await reach('orders', 'users:8081')).trim(), '200');
    assert.equal((await reach('users', 'orders:8082')).trim(), 'refused');
    assert.equal((await reach('gateway', 'postgresql:5432')).trim(), 'refused');
  });

  test('helm upgrade under load loses no request', async () => {
    const earlier = await Promise.all(services.map((name) => field(`deployment/${name}`, '.metadata.generation')));
    const { placed, some, failed, failures } = await underLoad(async () => {
      await helm(
        'upgrade',
        release,
        chart,
        '--reuse-values',
        '--set',
        `defaults.podAnnotations.rolled=at-${Date.now()}`,
      );
      await rolledOut();
    });
    const generations = await Promise.all(services.map((name) => field(`deployment/${name}`, '.metadata.generation')));
    assert.ok(generations.every((generation, index) => Number(generation) > Number(earlier[index])));
    console.log(`helm upgrade: ${placed} orders, ${failed} failures`);
    assert.deepEqual(failures, []);
    await allReadBack(some);
  });

  test('a bad setting does not take the platform down, and says what is wrong', async () => {
    await helm('upgrade', release, chart, '--reuse-values', '--set', 'services.users.config.DATABASE_POOL_SIZE=none');
    try {
      await eventually(async () => {
        const pods = await kubectl('logs', `--selector=${podsOf('users')}`, '--container=users', '--tail=-1');
        assert.match(pods, /DATABASE_POOL_SIZE must be integer/);
      }, 60_000);
      await place();
    } finally {
      await helm('rollback', release);
    }
    await rolledOut();
  });

  for (const name of [...services, 'mail-catcher', 'postgresql', 'kafka']) {
    test(`no accepted order is lost with the pods of ${name}`, async () => {
      const selector = name === 'kafka' ? 'strimzi.io/kind=Kafka' : podsOf(name);
      const { placed, some, failed } = await underLoad(async () => {
        await kubectl('delete', 'pod', `--selector=${selector}`, '--grace-period=0', '--force');
        await rolledOut();
        await eventually(place, 120_000);
      });
      console.log(`${name} killed: ${placed} orders, ${failed} failures`);
      await allReadBack(some);
    });
  }

  test('an uninstall leaves the data and the kinds, and an install of the same name goes on with them', async () => {
    const order = await place();
    await eventually(async () => {
      assert.equal((await gateway.call('GET', `/api/orders/${order.id}`)).status, 200);
    }, 30_000);
    const values = parse(await helm('get', 'values', release, '-o', 'yaml')) as object | null;
    const claims = await kubectl('get', 'persistentvolumeclaims', '-o', 'name');
    await helm('uninstall', release, '--wait', '--timeout=3m');
    assert.equal(await kubectl('get', 'persistentvolumeclaims', '-o', 'name'), claims);
    assert.match(await kubectl('get', 'crds', '-o', 'name'), /eventservices\.millrace\.dev/);
    await kubectl('get', 'secret', 'postgresql-superuser');

    const given = Object.entries(values ?? {}).flatMap(([key, value]) => [
      '--set-json',
      `${key}=${JSON.stringify(value)}`,
    ]);
    await helm('install', release, chart, ...given);
    await rolledOut();
    await eventually(async () => {
      const again = await gateway.call<Order>('GET', `/api/orders/${order.id}`);
      assert.equal(again.body.totalAmount, order.totalAmount);
    }, 60_000);
  });
});
