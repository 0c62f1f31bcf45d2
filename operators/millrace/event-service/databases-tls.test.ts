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
import { connectionOf, createPool, lockDatabases, ping, withClient, withConnection } from '#platform/postgres';
import { certified, startTlsPostgres } from '#test/tls-postgres.ts';
import type { TlsPostgres } from '#test/tls-postgres.ts';
import { stranger, strangersCertificate } from '#test/certificate.ts';
import { apiVersion } from '../api/common.ts';
import type { EventService } from '../api/event-service.ts';
import { secrets } from '../api/kinds.ts';
import { DatabasePools, dataOf, readSecret } from '../database-pools.ts';
import { pendingMigrations } from '#platform/migrate/pending.ts';
import { caFolder, clientFolder } from './certificates.ts';
import { DatabaseProvisioner } from './databases.ts';

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

  const admin = () => `${postgres.url}?sslmode=require`;

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
    assert.equal(reason, 'PostgresqlLoginRefused');
    assert.match(message, /no encryption/);
  });

  it('stays open to the others that use it', async () => {
    const mayConnect = async () => {
      const { rows } = await withClient(admin(), (client) =>
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

  it('answers though another operator keeps others waiting, and says so', async () => {
    await withClient(admin(), async (other) => {
      await lockDatabases(other);
      const { status, reason, message } = await provision('users-locked', { mode: 'require' });
      assert.deepEqual([status, reason], ['False', 'PostgresqlLocked']);
      assert.match(message, /such as another operator/);
    });
    assert.equal((await provision('users-locked', { mode: 'require' })).status, 'True');
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

  describe('and asks for a certificate of the client, too', () => {
    const tls = (client: string): Tls => ({ mode: 'verify-full', caSecretRef, clientCertSecretRef: { name: client } });
    const caSecretRef = { name: 'authority' };
    const role = { username: `${certified}admin`, password: 'p' };
    const provisionCertified = (database: string, wanted: Tls) => {
      const one = service(database, wanted);
      const postgresql = { ...one.spec.postgresql!, databaseName: `${certified}{name}` };
      postgresql.superuserSecretRef = { name: 'certified' };
      one.spec.postgresql = postgresql;
      return new DatabaseProvisioner(api, new ManualClock()).provision(one, never);
    };

    before(async () => {
      await withClient(admin(), (client) => client.query(`CREATE ROLE ${role.username} SUPERUSER LOGIN PASSWORD 'p'`));
      const { hostname: host, port } = new URL(postgres.url);
      create('certified', { host, port, ...role });
      create('client', { 'tls.crt': postgres.client.cert, 'tls.key': postgres.client.key });
      create('client-stranger', { 'tls.crt': stranger.cert, 'tls.key': stranger.key });
      create('client-half', { 'tls.crt': postgres.client.cert });
    });

    it('which the operator, migrations and services show', async () => {
      const { status, message } = await provisionCertified('users-certified', tls('client'));
      assert.deepEqual([status, message], ['True', '']);
      const { url: published = '', ...secret } = (await readSecret(api, 'shop', 'users-certified-database', never))!;
      assert.equal(secret['clientCertSecret'], 'client');
      assert.ok(!Object.values(secret).some((value) => value.includes('PRIVATE KEY')), 'the key stays where it is');
      const url = new URL(published);
      const files = { sslrootcert: 'ca.crt', sslcert: 'tls.crt', sslkey: 'tls.key' };
      const folder = mkdtempSync(join(tmpdir(), 'millrace-certified-'));
      // where the pods mount the Secrets
      for (const [name, content] of Object.entries({
        'ca.crt': postgres.ca,
        'tls.crt': postgres.client.cert,
        'tls.key': postgres.client.key,
      }))
        writeFileSync(join(folder, name), content);
      for (const [parameter, file] of Object.entries(files)) {
        const mountedAt = parameter === 'sslrootcert' ? caFolder : clientFolder;
        assert.equal(url.searchParams.get(parameter), `${mountedAt}/${file}`);
        url.searchParams.set(parameter, join(folder, file));
      }
      await migrate([{ url: url.href, schemaFolder: schema, database: 'users-certified' }]);
      assert.deepEqual(await pendingMigrations(url.href, schema), []);
      const shown = 'SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
      const pool = createPool({ name: 'users-certified', url: url.href, max: 1, log });
      const pools = new DatabasePools(api, log);
      try {
        await ping(pool);
        for (const one of [pool, (await pools.get('shop', 'users-certified', never))!])
          assert.deepEqual((await one.query(shown)).rows, [{ client_dn: '/CN=millrace' }]);
      } finally {
        await pool.end();
        await pools.close();
        rmSync(folder, { recursive: true });
      }
    });

    it('of which a pool shows a renewed one from the next connection on', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'millrace-client-'));
      const [cert, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
      const show = (client: { cert: string; key: string }) => {
        writeFileSync(cert, client.cert);
        writeFileSync(key, client.key);
      };
      show(postgres.client);
      const url = new URL(`${postgres.url}?sslmode=require`);
      [url.username, url.password] = [role.username, role.password];
      url.searchParams.set('sslcert', cert);
      url.searchParams.set('sslkey', key);
      const pool = createPool({ name: 'renewed-client', url: url.href, max: 1, log });
      const connects = async () => (await pool.connect()).release(true);
      try {
        await connects();
        show(stranger);
        await assert.rejects(connects(), /unknown ca/);
        show(postgres.client);
        await connects();
        writeFileSync(cert, stranger.cert); // its key is not there yet
        await connects();
      } finally {
        await pool.end();
        rmSync(folder, { recursive: true });
      }
    });

    it('and says so where there is none, a half one, or another', async () => {
      const reasons = async (wanted: Tls) => {
        const { reason, message } = await provisionCertified('users-refused', wanted);
        return `${reason}: ${message}`;
      };
      assert.match(
        await reasons({ mode: 'verify-full', caSecretRef }),
        /^PostgresqlLoginRefused: .*requires a valid client certificate/,
      );
      assert.match(await reasons(tls('client-stranger')), /^PostgresqlLoginRefused: .*unknown ca/);
      const nothing = /^NoCertificates: the Secret client-\w+ does not exist, or has no tls.crt and tls.key$/;
      for (const name of ['client-half', 'client-missing']) assert.match(await reasons(tls(name)), nothing);
    });
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
    const refused = await provision('users-stranger', { mode: 'verify-full', caSecretRef: { name: 'stranger' } });
    assert.equal(refused.reason, 'PostgresqlUntrusted');
    assert.match(refused.message, /certificate/);
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
      const settings = connectionOf(url.href, { ca: postgres.ca });
      const connected = withConnection(settings, () => Promise.resolve());
      await (isTaken ? connected : assert.rejects(connected, /altnames/));
    }
  });
});
