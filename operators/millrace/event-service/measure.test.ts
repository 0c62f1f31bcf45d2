import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { eventually } from '#test/eventually.ts';
import { memoryLog } from '#runtime/testing/support.ts';
import { apiVersion } from '../api/common.ts';
import type { ConsumerLagReader } from '../consumer-lag.ts';
import type { DatabasePools } from '../database-pools.ts';
import { eventServiceWorld } from '../testing/event-services.ts';
import { namespace } from '../testing/world.ts';
import { findMigrations } from './found-migrations.ts';
import { answeringOf, measure } from './measure.ts';

const never = new AbortController().signal;
const spec = {
  port: 8080,
  databases: [{ name: 'orders', schema: 'prisma/orders' }],
  kafka: { external: { bootstrapServers: 'kafka:9092' } },
  consumes: [{ group: 'g', topics: ['order-events'], database: 'orders' }],
};
const service = { apiVersion, kind: 'EventService', metadata: { namespace, name: 'orders' }, spec };
const poolsOf = (query: () => Promise<unknown>) =>
  ({ get: () => Promise.resolve({ query }) }) as unknown as DatabasePools;

describe('the figures of a service', () => {
  it('are asked of nobody who does not answer', async () => {
    const asked: string[] = [];
    const pools = poolsOf(() => {
      asked.push('postgresql');
      return Promise.resolve({ rows: [{ count: 2, next: '0' }] });
    });
    const read = () => {
      asked.push('kafka');
      return Promise.resolve({ lag: 1, partitions: new Map() });
    };
    const lagReader = { read } as unknown as ConsumerLagReader;
    const askedOf = async (...reasons: string[]) => {
      asked.length = 0;
      const answering = answeringOf(reasons.map((reason) => ({ reason })));
      const { consumers } = await measure(service, { pools, lagReader, log: memoryLog() }, answering, never);
      return [asked.toSorted().join(), consumers[0]];
    };
    assert.deepEqual(await askedOf('Created', 'Applied'), [
      'kafka,postgresql,postgresql',
      { group: 'g', lag: 1, deadLetters: 2 },
    ]);
    for (const reason of ['PostgresqlUnavailable', 'DatabaseUnreadable'])
      assert.deepEqual(await askedOf('Created', reason), ['', { group: 'g' }]);
    assert.deepEqual(await askedOf('KafkaUnavailable', 'Created'), ['postgresql', { group: 'g', deadLetters: 2 }]);
    assert.deepEqual(await askedOf('PostgresqlLoginRefused'), [
      'kafka,postgresql,postgresql',
      { group: 'g', lag: 1, deadLetters: 2 },
    ]);
  });

  it('are left out where nobody answers in time, as the migrations are', async (t) => {
    const pools = poolsOf(() => new Promise(() => undefined));
    const lagReader = {} as ConsumerLagReader;
    const answering = { postgresql: true, kafka: true };
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const measured = measure(service, { pools, lagReader, log: memoryLog() }, answering, never);
    const found = findMigrations(service, pools, never);
    t.mock.timers.tick(8_000);
    assert.deepEqual((await measured).consumers, [{ group: 'g' }]);
    assert.match((await found).failure!, /the database orders cannot be read: .* has not answered in 8000 ms/);
  });

  it('are not asked for by a reconcile that has found the server away', async () => {
    let asked = 0;
    const world = await eventServiceWorld(() => ({
      pools: poolsOf(() => {
        asked += 1;
        return Promise.resolve({ rows: [] });
      }),
      provisioner: {
        provision: () =>
          Promise.resolve({ type: 'DatabasesReady', status: 'False', reason: 'PostgresqlUnavailable', message: '' }),
      },
    }));
    try {
      world.declare('orders', { databases: spec.databases, consumes: spec.consumes, kafka: { cluster: 'millrace' } });
      await eventually(() => world.condition('orders', 'Ready'), 'it has been looked at');
      assert.equal(asked, 0);
    } finally {
      await world.stop();
    }
  });
});
