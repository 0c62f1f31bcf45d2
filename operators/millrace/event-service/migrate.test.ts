import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';

import type { KubeObject } from '#runtime/objects.ts';
import { ManualClock } from '#runtime/testing/manual-clock.ts';
import { migrate } from '#platform/migrate';
import { databaseNameOf, dropDatabaseAndRole, withClient } from '#platform/postgres';
import { testServers } from '#test/servers.ts';
import { deployments, jobs, pods, secrets } from '../api/kinds.ts';
import { DatabasePools, dataOf, valuesOf } from '../database-pools.ts';
import type { Secret } from '../database-pools.ts';
import { eventServiceWorld } from '../testing/event-services.ts';
import type { EventServiceWorld } from '../testing/event-services.ts';
import { namespace } from '../testing/world.ts';
import { DatabaseProvisioner } from './databases.ts';

const { postgres: admin } = testServers();

describe('the migrations of a database', () => {
  const database = `ledger-${randomBytes(4).toString('hex')}`;
  const inServer = databaseNameOf(database);
  const schemaFolder = mkdtempSync(join(tmpdir(), 'millrace-ledger-'));
  const clock = new ManualClock(Date.now()); // a Job has an age
  let world: EventServiceWorld;
  let pools: DatabasePools;

  before(async () => {
    writeFileSync(join(schemaFolder, 'schema.prisma'), 'datasource db {\n  provider = "postgresql"\n}\n');
    for (const name of ['0001_init', '0002_more']) {
      mkdirSync(join(schemaFolder, 'migrations', name), { recursive: true });
      writeFileSync(join(schemaFolder, 'migrations', name, 'migration.sql'), `CREATE TABLE t_${name} (id int);`);
    }
    world = await eventServiceWorld(({ context: { api } }) => {
      pools = new DatabasePools(api, pino({ enabled: false }));
      return { pools, provisioner: new DatabaseProvisioner(api, clock) };
    }, clock);
    const { hostname: host, port, username, password } = new URL(admin);
    const data = dataOf({ host, port, username, password: decodeURIComponent(password) });
    world.server.create(secrets, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { namespace, name: 'superuser' },
      data,
    } as KubeObject);
  });
  after(async () => {
    await world.stop();
    await pools.close();
    rmSync(schemaFolder, { recursive: true });
    await withClient(admin, (client) => dropDatabaseAndRole(client, inServer));
  });

  const condition = (type: string) => world.condition('ledger', type);
  const url = () => valuesOf(world.server.find<Secret>(secrets, namespace, `${database}-database`)!)['url']!;
  const job = () => world.server.all(jobs).find(({ metadata }) => metadata.name.startsWith('ledger-migrate-'));
  /** Does what the pod of the Job does, once there is a Job that has not finished. */
  const runJob = async () => {
    const { metadata } = await clock.until(() => job(), 'there is a Job');
    await migrate([{ url: url(), schemaFolder, database }]);
    const conditions = [{ type: 'Complete', status: 'True' }];
    world.server.patch(jobs, namespace, metadata.name, { status: { conditions } }, 'status');
  };
  const isReady = () => clock.until(() => condition('Ready')?.status === 'True', 'the service is ready');
  /** Waits until the operator has seen that migrations are missing and asks for them again. */
  const asksAgain = async (former: KubeObject) => {
    await clock.until(() => condition('Ready')?.status === 'False', 'the service is not ready');
    await clock.until(() => job() && job()!.metadata.uid !== former.metadata.uid, 'there is another Job');
  };
  const migrations = async (from: string) => {
    const { rows } = await withClient(url(), (client) => client.query<{ count: number }>(from));
    return rows[0]!.count;
  };
  const own = 'SELECT count(*)::int AS count FROM _prisma_migrations WHERE finished_at IS NOT NULL';
  const platform = 'SELECT count(*)::int AS count FROM millrace.migrations';

  it('are applied once, and not again while the database has them', async () => {
    world.declare('ledger', {
      image: 'shop:1',
      databases: [{ name: database, schema: 'prisma/ledger' }],
      postgresql: { superuserSecretRef: { name: 'superuser' }, databaseName: '{name}' },
    });
    await runJob();
    await isReady();
    const { uid } = job()!.metadata;
    const { resourceVersion } = world.service('ledger')!.metadata;
    await clock.advance(120_000);
    await isReady();
    assert.equal(world.service('ledger')!.metadata.resourceVersion, resourceVersion, 'nothing is written');
    assert.equal(job()!.metadata.uid, uid);
    assert.equal(world.service('ledger')!.status!.schemaVersion, '0002_more');
  });

  it('are applied again to a database that was created anew', async () => {
    const former = job()!;
    await withClient(admin, (client) => dropDatabaseAndRole(client, inServer));
    await asksAgain(former);
    await runJob();
    await isReady();
    assert.ok((await migrations(own)) > 0 && (await migrations(platform)) > 0);
  });

  for (const [whose, from, lost] of [
    ['the service', own, "DELETE FROM _prisma_migrations WHERE migration_name = '0002_more'; DROP TABLE t_0002_more"],
    ['the platform', platform, 'DROP SCHEMA millrace CASCADE'],
  ] as const) {
    it(`are applied again to a database that was restored from a time before one of ${whose}`, async () => {
      const [former, count] = [job()!, await migrations(from)];
      await withClient(url(), (client) => client.query(lost));
      await asksAgain(former);
      assert.match((await world.events()).join('\n'), /Warning MigrationsMissing: the databases have other migrations/);
      await runJob();
      await isReady();
      assert.equal(await migrations(from), count);
    });
  }

  it('leave a Job alone that somebody else has made', async () => {
    const { server } = world;
    const { name, uid } = job()!.metadata;
    server.delete(jobs, namespace, name);
    const theirs = server.create(jobs, {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { namespace, name },
      spec: { template: { spec: { containers: [] } } },
    } as unknown as KubeObject);
    assert.notEqual(theirs.metadata.uid, uid);
    await withClient(url(), (client) => client.query('DROP SCHEMA millrace CASCADE'));
    await clock.until(() => condition('Ready')?.reason === 'JobTaken', 'it says so');
    assert.deepEqual(job()!.metadata, theirs.metadata);
    server.delete(jobs, namespace, name);
    await clock.until(() => job(), 'the Job is made');
    await runJob();
    await isReady();
  });

  it('say why the pod of their Job cannot begin', async () => {
    const { server } = world;
    const former = job()!;
    await withClient(url(), (client) => client.query('DROP SCHEMA millrace CASCADE'));
    await asksAgain(former);
    const { name } = job()!.metadata;
    const waits = (message: RegExp) =>
      clock.until(() => {
        const { reason = '', message: said = '' } = condition('Migrated') ?? {};
        return reason === 'MigrationWaiting' && message.test(said);
      }, `the condition says ${message}`);
    await waits(new RegExp(`^Job ${name} waits: it has got no pod: kubectl -n ${namespace} describe job ${name}`));
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace, name: 'waiting', labels: { 'batch.kubernetes.io/job-name': name } },
      status: { conditions: [{ type: 'PodScheduled', status: 'False', message: '0/3 nodes are available' }] },
    };
    server.create(pods, pod as KubeObject);
    await waits(/waits: no node takes the pod waiting: 0\/3 nodes are available$/);
    const pulling = (reason: string, message: string) => ({
      status: { conditions: [], containerStatuses: [{ name: 'migrate', state: { waiting: { reason, message } } }] },
    });
    server.patch(pods, namespace, 'waiting', pulling('ImagePullBackOff', 'Back-off pulling image "shop:1"'), 'status');
    await waits(/waits: the pod waiting cannot begin \(ImagePullBackOff\): Back-off pulling image "shop:1"$/);
    assert.match((await world.events()).join('\n'), /Warning MigrationWaiting: Job ledger-migrate-\w+ waits/);
    server.patch(pods, namespace, 'waiting', pulling('ContainerCreating', ''), 'status');
    await clock.until(() => condition('Migrated')?.reason === 'Migrating', 'it begins');
    server.delete(pods, namespace, 'waiting');
    await runJob();
    await isReady();
  });

  it('are unknown while the database cannot be read, and not applied again for that', async () => {
    const former = job()!;
    await withClient(admin, (client) => client.query(`ALTER DATABASE ${inServer} WITH ALLOW_CONNECTIONS false`));
    const end = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${inServer}'`;
    await withClient(admin, (client) => client.query(end));
    await clock.until(() => condition('Migrated')?.status === 'Unknown', 'nobody knows');
    assert.equal(condition('Migrated')?.reason, 'DatabaseUnreadable');
    assert.equal(condition('Ready')?.status, 'False');
    await withClient(admin, (client) => client.query(`ALTER DATABASE ${inServer} WITH ALLOW_CONNECTIONS true`));
    await isReady();
    assert.equal(job()!.metadata.uid, former.metadata.uid);
  });

  it('are applied again where the pods run another image of the same tag, once for each', async () => {
    const { server, service } = world;
    const labels = { app: 'ledger' };
    server.create(deployments, {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { namespace, name: 'ledger' },
      status: { selector: 'app=ledger' },
    } as KubeObject);
    const pod = (name: string, imageID: string, image = 'shop:1') =>
      server.create(pods, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { namespace, name, labels },
        spec: { initContainers: [{ name: 'migrated', image }] },
        status: { initContainerStatuses: [{ name: 'migrated', imageID }] },
      } as KubeObject);
    const first = job()!.metadata.uid;
    pod('before', 'sha256:one');
    await clock.until(() => service('ledger')!.status!.imageIds?.includes('sha256:one'), 'the image is known');
    pod('former', 'sha256:zero', 'shop:0'); // of the release before
    await clock.advance(120_000);
    await isReady();
    assert.equal(job()!.metadata.uid, first, 'nothing was pushed');

    pod('after', 'sha256:two');
    await asksAgain({ metadata: { uid: first } } as KubeObject);
    assert.match((await world.events()).join('\n'), /Warning ImagePushedAgain: the pods run another image/);
    const second = job()!.metadata.uid;
    await runJob();
    await isReady();
    await clock.advance(120_000);
    await isReady();
    assert.equal(job()!.metadata.uid, second, 'it does not run for ever, whatever the Job has run');
    assert.deepEqual(service('ledger')!.status!.imageIds, ['sha256:one', 'sha256:two']);
  });
});
