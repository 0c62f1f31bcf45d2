import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import pino from 'pino';

import { Api } from '#runtime/api.ts';
import { FakeApiServer } from '#runtime/testing/fake-api-server.ts';
import { ManualClock } from '#runtime/testing/manual-clock.ts';
import { migrate } from '#platform/migrate';
import { createPool, ping, withClient } from '#platform/postgres';
import { startTlsPostgres } from '#test/tls-postgres.ts';
import type { TlsPostgres } from '#test/tls-postgres.ts';
import { strangersCertificate } from '#test/certificate.ts';
import { apiVersion } from '../api/common.ts';
import type { EventService } from '../api/event-service.ts';
import { secrets } from '../api/kinds.ts';
import { DatabasePools, dataOf, readSecret } from '../database-pools.ts';
import { pendingMigrations } from '#platform/migrate/pending.ts';
import { DatabaseProvisioner, caFolder } from './databases.ts';

const never = new AbortController().signal;
const log = pino({ enabled: false });
const schema = 'prisma/analytics';

describe('a PostgreSQL that takes hostssl only', () => {
  let postgres: TlsPostgres;
  let server: FakeApiServer;
  let api: Api;

  before(async () => {
    [postgres, server] = [await startTlsPostgres(), new FakeApiServer()];
    await server.start();
    api = new Api(server.connection());
    const { hostname: host, port, username, password } = new URL(postgres.url);
    create('superuser', { host, port, username, password });
    create('authority', { 'ca.crt': postgres.ca });
    create('stranger', { 'ca.crt': strangersCertificate });
  });
  after(async () => {
    await server.stop();
    await postgres.stop();
  });
  function create(name: string, values: Record<string, string>): void {
    server.create(secrets, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { namespace: 'shop', name },
      data: dataOf(values),
    } as never);
  }

  type Tls = NonNullable<NonNullable<EventService['spec']['postgresql']>['tls']>;
  const service = (database: string, tls?: Tls): EventService => ({
    apiVersion,
    kind: 'EventService',
    metadata: { name: 'users', namespace: 'shop', uid: 'uid', generation: 1 },
    spec: {
      port: 8081,
      databases: [{ name: database, schema }],
      postgresql: {
        superuserSecretRef: { name: 'superuser' },
        databaseName: '{name}',
        ...(tls === undefined ? {} : { tls }),
      },
    },
  });
  const provision = (database: string, tls?: Tls) =>
    new DatabaseProvisioner(api, new ManualClock()).provision(service(database, tls), never);

  it('refuses those who come without TLS', async () => {
    await assert.rejects(
      withClient(postgres.url, () => Promise.resolve()),
      /no encryption/,
    );
    const { reason, message } = await provision('plain');
    assert.equal(reason, 'PostgresqlUnavailable');
    assert.match(message, /no encryption/);
  });

  it('stays open to the others that use it', async () => {
    const admin = `${postgres.url}?sslmode=require`;
    const mayConnect = async () => {
      const { rows } = await withClient(admin, (client) =>
        client.query<{ may: boolean }>(`SELECT has_database_privilege('public', 'postgres', 'CONNECT') AS may`),
      );
      return rows[0]!.may;
    };
    const shared = service('users-shared', { mode: 'require' });
    const postgresql = { ...shared.spec.postgresql!, databaseName: '{namespace}_{name}' };
    const provisioner = new DatabaseProvisioner(api, new ManualClock());
    const { status } = await provisioner.provision({ ...shared, spec: { ...shared.spec, postgresql } }, never);
    assert.deepEqual([status, await mayConnect()], ['True', true]);
    // a server of its own is closed to all but its roles
    await provision('users-own', { mode: 'require' });
    assert.equal(await mayConnect(), false);
  });

  it('lets a pool trust a renewed authority from the next connection on', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-authority-'));
    const file = join(folder, 'ca.crt');
    writeFileSync(file, postgres.ca);
    const url = `${postgres.url}?sslmode=verify-ca&sslrootcert=${encodeURIComponent(file)}`;
    const pool = createPool({ name: 'renewed-authority', url, max: 1, log });
    const connects = async () => (await pool.connect()).release(true);
    try {
      await connects();
      writeFileSync(file, strangersCertificate);
      await assert.rejects(connects(), /certificate/);
      writeFileSync(file, strangersCertificate + postgres.ca);
      await connects();
    } finally {
      await pool.end();
      rmSync(folder, { recursive: true });
    }
  });

  const hasIPv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));
  it(
    'serves the operator, migrations and services at an address of IPv6',
    { skip: hasIPv6 ? false : 'no ::1 here' },
    async () => {
      const { port, username, password } = new URL(postgres.url);
      create('superuser-6', { host: '::1', port, username, password });
      const one = service('users-6', { mode: 'verify-ca', caSecretRef: { name: 'authority' } });
      one.spec.postgresql!.superuserSecretRef = { name: 'superuser-6' };
      const { status, message } = await new DatabaseProvisioner(api, new ManualClock()).provision(one, never);
      assert.deepEqual([status, message], ['True', '']);
      const { host, url } = (await readSecret(api, 'shop', 'users-6-database', never))!;
      assert.deepEqual([host, new URL(url!).hostname], ['::1', '[::1]']);
      const mounted = new URL(url!);
      mounted.searchParams.set('sslrootcert', postgres.caFile);
      await migrate([{ url: mounted.href, schemaFolder: schema, database: 'users-6' }]);
      const pool = createPool({ name: 'users-6', url: mounted.href, max: 1, log });
      await ping(pool);
      await pool.end();
      const pools = new DatabasePools(api, log);
      const { rows } = await (await pools.get('shop', 'users-6', never))!.query<{ at: string }>(
        'SELECT inet_server_addr()::text AS at',
      );
      await pools.close();
      assert.match(rows[0]!.at, /^::1/);
    },
  );

  const modes: [string, Tls][] = [
    ['require', { mode: 'require' }],
    ['verify-ca', { mode: 'verify-ca', caSecretRef: { name: 'authority' } }],
    ['verify-full', { mode: 'verify-full', caSecretRef: { name: 'authority' } }],
  ];
  for (const [mode, tls] of modes) {
    it(`serves the operator, migrations and services with ${mode}`, async () => {
      const database = `users-${mode}`;
      assert.deepEqual(await provision(database, tls), {
        type: 'DatabasesReady',
        status: 'True',
        reason: 'Created',
        message: '',
      });
      const secret = await readSecret(api, 'shop', `${database}-database`, never);
      const published = new URL(secret!['url']!);
      assert.equal(published.searchParams.get('sslmode'), mode);
      if (tls.caSecretRef !== undefined) {
        assert.equal(published.searchParams.get('sslrootcert'), `${caFolder}/ca.crt`);
        // where the pods mount the Secret
        published.searchParams.set('sslrootcert', postgres.caFile);
      }
      const url = published.href;
      assert.ok((await pendingMigrations(url, schema)).length > 0);
      // takes seconds; pg alone would check the certificate in this mode, and fail
      if (mode === 'require') {
        await migrate([{ url, schemaFolder: schema, database }]);
        assert.deepEqual(await pendingMigrations(url, schema), []);
      }

      const pool = createPool({ name: database, url, max: 1, log });
      try {
        await ping(pool);
        const { rows } = await pool.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
        assert.deepEqual(rows, [{ ssl: true }]);
      } finally {
        await pool.end();
      }
      const pools = new DatabasePools(api, log);
      try {
        await ping((await pools.get('shop', database, never))!);
      } finally {
        await pools.close();
      }
    });
  }

  it('is not taken for another server', async () => {
    const stranger = await provision('users-stranger', { mode: 'verify-full', caSecretRef: { name: 'stranger' } });
    assert.equal(stranger.reason, 'PostgresqlUnavailable');
    assert.match(stranger.message, /certificate/);
    // Node knows nobody who has signed it
    const unknown = await provision('users-unknown', { mode: 'verify-full' });
    assert.match(unknown.message, /certificate/);
    const missing = await provision('users-missing', { mode: 'verify-full', caSecretRef: { name: 'missing' } });
    assert.equal(missing.reason, 'NoCertificates');
    // another address of this machine, which the certificate does not name
    const url = new URL(postgres.url);
    url.hostname = '127.0.0.2';
    for (const [mode, isTaken] of [
      ['verify-ca', true],
      ['verify-full', false],
    ] as const) {
      url.searchParams.set('sslmode', mode);
      const connected = withClient(url.href, () => Promise.resolve(), postgres.ca);
      await (isTaken ? connected : assert.rejects(connected, /altnames/));
    }
  });
});
