import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';

import { untilPasses } from '#test/eventually.ts';
import { apply, conditionOf, kubectl, read, sql } from './cluster.ts';
import type { Installed } from './installed.ts';

/** An EventService without a chart, from its declaration to its deletion. */
export function declaredServices(platform: Installed): void {
  describe('an EventService of one’s own', { concurrency: 1 }, () => {
    const service = (spec: object) =>
      apply({
        apiVersion: 'millrace.dev/v1beta1',
        kind: 'EventService',
        metadata: { name: 'ledger' },
        spec: {
          port: 9000,
          databases: [{ name: 'ledger', schema: 'prisma/users' }],
          produces: [{ topic: 'ledger-events', partitions: 3, retention: '1d' }],
          image: platform.image,
          kafka: { cluster: 'millrace', replicas: 1 },
          postgresql: { superuserSecretRef: { name: 'postgresql-superuser' }, databaseName: '{name}' },
          ...spec,
        },
      });
    const databases = () => sql('postgres', `SELECT datname FROM pg_database WHERE datname = 'ledger'`);
    const exists = async (resource: string) =>
      (await kubectl('get', resource, '--ignore-not-found', '-o', 'name')).trim() !== '';
    const isReady = () => kubectl('wait', '--for=condition=Ready', 'eventservice/ledger', '--timeout=120s');
    after(async () => {
      await kubectl('delete', 'eventservice', 'ledger', '--ignore-not-found');
    });

    test('gets its declared objects; a deletion keeps its data, or deletes it if the policy says so', async () => {
      await service({});
      await isReady();
      const { status } = await read('eventservice/ledger');
      assert.match(status?.['schemaVersion'], /^\d{4}_/);
      await sql('ledger', `CREATE TABLE kept (id int)`);

      await kubectl('delete', 'eventservice', 'ledger', '--timeout=60s');
      await kubectl('wait', '--for=delete', 'kafkauser/ledger', '--timeout=60s');
      assert.equal((await databases()).trim(), 'ledger');
      assert.ok((await exists('secret/ledger-database')) && (await exists('kafkatopic/ledger-events')));

      await service({ deletionPolicy: 'Delete' });
      await isReady();
      assert.match(await sql('ledger', `SELECT to_regclass('kept')`), /kept/);
      assert.deepEqual((await read('eventservice/ledger')).metadata.finalizers, ['millrace.dev/delete-data']);
      await kubectl('delete', 'eventservice', 'ledger', '--timeout=60s');
      assert.equal((await databases()).trim(), '');
      assert.equal(await exists('secret/ledger-database'), false);
      await kubectl('wait', '--for=delete', 'kafkatopic/ledger-events', '--timeout=60s');
    });

    test('reports why Strimzi refuses a topic', async () => {
      await service({});
      await isReady();
      // a new one may declare fewer than the topic that its predecessor has left
      await kubectl('delete', 'eventservice', 'ledger', '--timeout=60s');
      await service({ produces: [{ topic: 'ledger-events', partitions: 1, retention: '1d' }] });
      await untilPasses(async () => {
        const ready = conditionOf(await read('eventservice/ledger'), 'Ready');
        assert.match(
          `${ready?.reason}: ${ready?.message}`,
          /^NotSupported: ledger-events: Decreasing partitions not supported/,
        );
      }, 60_000);
      await service({});
      await isReady();
    });

    test('reports what it waits for', async () => {
      await service({ postgresql: { superuserSecretRef: { name: 'none' } } });
      await untilPasses(async () => {
        const ready = conditionOf(await read('eventservice/ledger'), 'Ready');
        assert.match(`${ready?.reason}: ${ready?.message}`, /^NoSuperuser: .*none/);
      }, 60_000);
    });
  });
}
