import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import pino from 'pino';

import { Api } from '#runtime/api.ts';
import { FakeApiServer } from '#runtime/testing/fake-api-server.ts';
import { ManualClock } from '#runtime/testing/manual-clock.ts';
import {
  createPool,
  databaseNameOf,
  dropDatabaseAndRole,
  ensureDatabaseRoles,
  setPassword,
  withClient,
} from '#platform/postgres';
import { startCuttingProxy } from '#platform/postgres/testing.ts';
import { startPooler, withoutPooler as skip } from '#test/pooler.ts';
import { startProxy } from '#test/proxy.ts';
import { testServers } from '#test/servers.ts';
import { apiVersion } from '../api/common.ts';
import type { EventService } from '../api/event-service.ts';
import { namespaces, secrets } from '../api/kinds.ts';
import { dataOf, valuesOf } from '../database-pools.ts';
import type { Secret } from '../database-pools.ts';
import { stalledOf } from '../report.ts';
import { DatabaseProvisioner, databaseSecretOf } from './databases.ts';
import { isSharedServer, newDatabaseName, reservedReason } from './database-owner.ts';
import { publishMs } from './rotation.ts';

const { postgres: admin } = testServers();
const address = new URL(admin);
const administrator = {
  host: address.hostname,
  port: address.port,
  username: address.username,
  password: decodeURIComponent(address.password),
};
const never = new AbortController().signal;
const perNamespace = '{namespace}_{name}';

describe('the databases of services on one server', () => {
  let server: FakeApiServer;
  let provisioner: DatabaseProvisioner;
  let clock: ManualClock;
  let here: string;
  let there: string;
  const made = new Set<string>();

  before(async () => {
    server = new FakeApiServer();
    await server.start();
  });
  after(async () => {
    await server.stop();
    await withClient(admin, async (client) => {
      for (const name of made) await dropDatabaseAndRole(client, name);
    });
  });
  beforeEach(() => {
    clock = new ManualClock();
    provisioner = new DatabaseProvisioner(new Api(server.connection()), clock);
    [here, there] = [newNamespace('here'), newNamespace('there')];
  });

  /** A namespace with the Secret of the superuser. */
  function newNamespace(name: string): string {
    const namespace = `${name}-${randomBytes(4).toString('hex')}`;
    server.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    create(namespace, 'superuser', administrator);
    return namespace;
  }
  function create(namespace: string, name: string, values: Record<string, string>, labels = {}): void {
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name, labels }, data: dataOf(values) };
    server.create(secrets, secret);
  }
  function service(namespace: string, name: string, database: string, databaseName = '{name}'): EventService {
    const databases = [{ name: database, schema: 'prisma/orders' }];
    const postgresql = { superuserSecretRef: { name: 'superuser' }, databaseName };
    const inServer = newDatabaseName(databaseName, namespace, database);
    if (reservedReason(inServer, address.username) === undefined) made.add(inServer);
    const metadata = { name, namespace, uid: `${namespace}/${name}`, generation: 1 };
    return { apiVersion, kind: 'EventService', metadata, spec: { port: 8080, databases, postgresql } };
  }
  const provision = (one: EventService) => provisioner.provision(one, never);
  const drop = (one: EventService, left = new Set<string>()) => provisioner.drop(one, left, never);
  const secret = (namespace: string, database: string) =>
    server.find<Secret>(secrets, namespace, `${database}-database`);
  const values = (namespace: string, database: string) => valuesOf(secret(namespace, database)!);
  const whoAmI = async (url: string) => {
    const { rows } = await withClient(url, (client) =>
      client.query<{ database: string; role: string }>(
        'SELECT current_database()::text AS database, current_user::text AS role',
      ),
    );
    return rows[0];
  };
  const exists = async (name: string) => {
    const { rowCount } = await withClient(admin, (client) =>
      client.query('SELECT FROM pg_database WHERE datname = $1', [name]),
    );
    return rowCount === 1;
  };

  it('get another password on request, and no connection is refused meanwhile', async (t) => {
    const orders = service(here, 'orders', 'orders', perNamespace);
    await provision(orders);
    const first = values(here, 'orders');
    const mounted = mkdtempSync(join(tmpdir(), 'millrace-mounted-'));
    mkdirSync(join(mounted, 'orders-database'));
    /** What a kubelet does, later than anybody would like. */
    const mount = () => {
      for (const key of ['database', 'username', 'password', 'nextPassword']) {
        const file = join(mounted, 'orders-database', key);
        const value = values(here, 'orders')[key];
        if (value === undefined) rmSync(file, { force: true });
        else writeFileSync(file, value);
      }
    };
    mount();
    process.env['DATABASE_SECRETS_DIR'] = mounted;
    const pool = createPool({ name: here, url: first['url']!, max: 2, log: pino({ enabled: false }) });
    const connects = async () => (await pool.connect()).release(true);
    t.after(async () => {
      delete process.env['DATABASE_SECRETS_DIR'];
      await pool.end();
      rmSync(mounted, { recursive: true });
    });
    await connects();

    const annotations = { 'millrace.dev/rotate': 'monday' };
    server.patch(secrets, here, 'orders-database', { metadata: { annotations } });
    await provision(orders);
    const { nextPassword: next, password } = values(here, 'orders');
    assert.ok(next && next !== password && password === first['password'], 'it is published, and not yet used');
    await connects();
    mount();
    await provision(orders);
    assert.deepEqual(values(here, 'orders'), { ...first, nextPassword: next }, 'pods may not have it yet');
    await whoAmI(first['url']!);

    await clock.advance(publishMs);
    await provision(orders);
    const last = values(here, 'orders');
    assert.deepEqual([last['password'], last['nextPassword']], [next, undefined]);
    await whoAmI(last['url']!);
    await assert.rejects(whoAmI(first['url']!), { code: '28P01' });
    await connects();
    mount();
    await connects();
    await provision(orders);
    await clock.advance(10 * 60_000);
    await provision(orders);
    assert.deepEqual(values(here, 'orders'), last, 'once');
  });

  it('have a superuser whose password the operator renews on request, also after it has died in the middle', async () => {
    const name = `super_${randomBytes(4).toString('hex')}`;
    await withClient(admin, (client) => client.query(`CREATE ROLE ${name} LOGIN SUPERUSER PASSWORD 'one'`));
    try {
      const { hostname: host, port } = address;
      create(here, 'bundled', { host, port, username: name, password: 'one' });
      const orders = service(here, 'orders', 'orders', perNamespace);
      orders.spec.postgresql = {
        superuserSecretRef: { name: 'bundled' },
        databaseName: perNamespace,
        newSuperuser: { host, port: Number(port), username: name },
      };
      const superuser = () => valuesOf(server.find<Secret>(secrets, here, 'bundled')!);
      const request = (value: string) =>
        server.patch(secrets, here, 'bundled', { metadata: { annotations: { 'millrace.dev/rotate': value } } });
      for (const value of ['one', 'two']) {
        const { password } = superuser();
        request(value);
        assert.equal((await provision(orders)).status, 'True');
        // PostgreSQL has it already, and the Secret not yet
        if (value === 'two')
          await withClient(admin, (client) => setPassword(client, name, superuser()['nextPassword']!));
        await provision(orders);
        assert.notEqual(superuser()['password'], password);
        assert.equal(superuser()['nextPassword'], undefined);
        await clock.advance(10 * 60_000);
        assert.equal((await provision(orders)).status, 'True');
      }
      await drop(orders);
    } finally {
      await withClient(admin, (client) => client.query(`DROP OWNED BY ${name}; DROP ROLE ${name}`));
    }
  });

  it('are each namespace’s own', async () => {
    const [ours, theirs] = [
      service(here, 'orders', 'orders-read', perNamespace),
      service(there, 'orders', 'orders-read', perNamespace),
    ];
    for (const one of [ours, theirs]) assert.equal((await provision(one)).status, 'True');
    const [first, second] = [values(here, 'orders-read'), values(there, 'orders-read')];
    const name = (namespace: string) => `${databaseNameOf(namespace)}_orders_read`;
    assert.deepEqual(await whoAmI(first['url']!), { database: name(here), role: name(here) });
    assert.deepEqual(await whoAmI(second['url']!), { database: name(there), role: name(there) });
    const stranger = new URL(first['url']!);
    stranger.pathname = `/${second['database']}`;
    await assert.rejects(whoAmI(stranger.href), /permission denied for database/);
    // a check by either, also by another operator, leaves the other's password alone
    await clock.advance(10 * 60_000);
    for (const one of [ours, theirs]) await provision(one);
    await new DatabaseProvisioner(new Api(server.connection()), clock).provision(theirs, never);
    await whoAmI(first['url']!);
    await whoAmI(second['url']!);
    await drop(theirs);
    assert.equal(await exists(name(there)), false);
    assert.equal(secret(there, 'orders-read'), undefined);
    await whoAmI(first['url']!);
  });

  it('are refused where another namespace has one of the name, which stays as it is', async () => {
    const database = `db-${randomBytes(4).toString('hex')}`;
    const [ours, theirs] = [service(here, 'orders', database), service(there, 'orders', database)];
    await provision(ours);
    for (let times = 0; times < 2; times++) {
      const { status, reason, message } = await provision(theirs);
      assert.deepEqual([status, reason], ['False', 'DatabaseTaken']);
      assert.ok(message.includes(`belongs to the service orders of the namespace ${here}`), message);
    }
    assert.equal(secret(there, database), undefined);
    await drop(theirs);
    await whoAmI(values(here, database)['url']!);
  });

  it('are left where they cannot be dropped, and no others are', async (t) => {
    const proxy = await startCuttingProxy(admin);
    t.after(() => proxy.close());
    create(here, 'cut', { ...administrator, port: new URL(proxy.url).port });
    const one = service(here, 'orders', 'first', perNamespace);
    one.spec.databases = ['first', 'second'].map((name) => ({ name, schema: 'prisma/orders' }));
    one.spec.postgresql!.superuserSecretRef = { name: 'cut' };
    const second = newDatabaseName(perNamespace, here, 'second');
    made.add(second);
    assert.equal((await provision(one)).status, 'True');
    const all = ['the database first', 'the database second'];

    proxy.cutAt(`DROP DATABASE IF EXISTS "${second}"`, 'statement-lost');
    let left = new Set(all);
    await assert.rejects(drop(one, left), /terminated/);
    assert.deepEqual([...left], ['the database second']);

    server.fail(403, 1, ({ verb, path }) => verb === 'delete' && path.endsWith('/second-database'));
    left = new Set(all);
    await assert.rejects(drop(one, left), /403/);
    assert.deepEqual([...left], ['the Secret second-database']);

    left = new Set(all);
    await drop(one, left);
    assert.deepEqual([...left], []);
  });

  it('are neither touched nor dropped by another service of the namespace', async () => {
    const [orders, reports] = [
      service(here, 'orders', 'shared', perNamespace),
      service(here, 'reports', 'shared', perNamespace),
    ];
    await provision(orders);
    const earlier = secret(here, 'shared');
    const { reason, message } = await provision(reports);
    assert.equal(reason, 'DatabaseTaken');
    assert.match(message, /the database shared belongs to the service orders/);
    await drop(reports);
    assert.deepEqual(secret(here, 'shared'), earlier);
    await whoAmI(values(here, 'shared')['url']!);
    // without the Secret, PostgreSQL itself says whose it is
    server.delete(secrets, here, 'shared-database');
    assert.equal((await provision(reports)).reason, 'DatabaseTaken');
    await drop(reports);
    assert.ok(await exists(newDatabaseName(perNamespace, here, 'shared')));
    assert.equal((await provision(orders)).status, 'True');
    await whoAmI(values(here, 'shared')['url']!);
  });

  it('are refused where somebody else has made one, until it is handed over', async () => {
    const one = service(here, 'orders', 'legacy', perNamespace);
    const database = newDatabaseName(perNamespace, here, 'legacy');
    const url = Object.assign(new URL(admin), {
      username: database,
      password: 'theirs',
      pathname: `/${database}`,
    }).href;
    await withClient(admin, (client) => ensureDatabaseRoles(client, [{ database, password: 'theirs' }]));
    let message = '';
    for (let times = 0; times < 2; times++) {
      const condition = await provision(one);
      assert.equal(condition.reason, 'DatabaseTaken');
      assert.match(condition.message, /exists in PostgreSQL, and Millrace has not made it/);
      message = condition.message;
    }
    await drop(one);
    await whoAmI(url);
    const statements = /hand it over with: (.*)$/.exec(message)![1]!;
    await withClient(admin, (client) => client.query(statements));
    assert.equal((await provision(one)).status, 'True');
    await whoAmI(values(here, 'legacy')['url']!);
  });

  it('are neither touched nor dropped where somebody else has made their Secret, whatever it names', async () => {
    const theirs = databaseNameOf(`theirs-${randomBytes(4).toString('hex')}`);
    await withClient(admin, (client) => ensureDatabaseRoles(client, [{ database: theirs, password: 'theirs' }]));
    made.add(theirs);
    const url = Object.assign(new URL(admin), { username: theirs, password: 'theirs', pathname: `/${theirs}` }).href;
    create(here, 'erp-database', { database: theirs, username: theirs, password: 'supplied' }, { team: 'erp' });
    const earlier = secret(here, 'erp');
    const one = service(here, 'orders', 'erp', perNamespace);
    const { reason, message } = await provision(one);
    assert.equal(reason, 'DatabaseTaken');
    assert.match(message, /the database erp has a Secret erp-database that Millrace has not made: choose another name/);
    await drop(one);
    assert.deepEqual(secret(here, 'erp'), earlier);
    await whoAmI(url);

    const command = `kubectl --namespace ${here} label --overwrite secrets erp-database `;
    const pairs = message.slice(message.indexOf(command) + command.length).split(' ');
    const labels = Object.fromEntries(pairs.map((pair) => pair.split('=')));
    server.patch(secrets, here, 'erp-database', { metadata: { labels } });
    assert.equal((await provision(one)).status, 'True', 'it is handed over');
    assert.equal(values(here, 'erp')['database'], theirs);
  });

  it('are not taken over by a namespace of the same name in another cluster', async () => {
    const one = service(here, 'orders', 'orders', perNamespace);
    await provision(one);
    const elsewhere = new FakeApiServer();
    await elsewhere.start();
    try {
      elsewhere.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: here, uid: 'elsewhere' } });
      elsewhere.create(secrets, server.find(secrets, here, 'superuser')!);
      const other = new DatabaseProvisioner(new Api(elsewhere.connection()), clock);
      const { reason, message } = await other.provision(one, never);
      assert.equal(reason, 'DatabaseTaken');
      assert.match(message, /of another namespace here-/);
      await other.drop(one, new Set(), never);
    } finally {
      await elsewhere.stop();
    }
    await whoAmI(values(here, 'orders')['url']!);
  });

  it('keep their names and passwords when they were made before they had owners', async () => {
    const database = `old-${randomBytes(4).toString('hex')}`;
    const name = databaseNameOf(database);
    await withClient(admin, (client) => ensureDatabaseRoles(client, [{ database, password: 'kept' }]));
    made.add(name);
    const { port, hostname: host } = address;
    server.create(
      secrets,
      databaseSecretOf({ namespace: here, service: 'orders', database }, name, { host, port }, 'kept'),
    );
    const earlier = values(here, database);
    const one = service(here, 'orders', database, perNamespace);
    assert.equal((await provision(one)).status, 'True');
    assert.deepEqual(values(here, database), earlier);
    await whoAmI(earlier['url']!);
    // from now on it has one
    assert.equal((await provision(service(there, 'orders', database))).reason, 'DatabaseTaken');
  });

  it('have no names that are PostgreSQL’s, or the administrator’s', async () => {
    for (const database of ['postgres', 'template1', 'streaming-replica', 'pg-toast', 'public']) {
      const { reason, message } = await provision(service(here, 'orders', database));
      assert.equal(reason, 'DatabaseNameReserved', database);
      assert.match(message, /choose another/);
    }
    assert.match(reservedReason('boss', 'boss')!, /boss is the role that creates the databases/);
    assert.equal(reservedReason('orders', 'boss'), undefined);
    await drop(service(here, 'orders', 'postgres'));
    await whoAmI(admin);
  });

  it('have names that PostgreSQL does not cut', () => {
    const [a, b] = ['a', 'b'].map((end) => newDatabaseName(perNamespace, `${'n'.repeat(62)}${end}`, 'orders')) as [
      string,
      string,
    ];
    assert.ok(a.length <= 63 && b.length <= 63);
    assert.notEqual(a, b);
    assert.equal(newDatabaseName('{name}', 'shop', 'orders-read'), 'orders_read');
    assert.deepEqual([isSharedServer('{name}'), isSharedServer(perNamespace)], [false, true]);
  });

  it('are asked for of a silent server by one service at a time, and ever more seldom', async (t) => {
    const proxy = await startProxy(address.hostname, Number(address.port));
    t.after(() => proxy.stop());
    create(here, 'silent', { ...administrator, host: '127.0.0.1', port: String(proxy.port) });
    const of = (name: string) => {
      const one = service(here, name, name, perNamespace);
      return {
        ...one,
        spec: { ...one.spec, postgresql: { ...one.spec.postgresql!, superuserSecretRef: { name: 'silent' } } },
      };
    };
    assert.equal((await provision(of('users'))).status, 'True');
    proxy.silence();
    assert.equal((await provision(of('users'))).status, 'True', 'that was checked a short time ago');
    assert.equal((await provision(of('orders'))).reason, 'PostgresqlUnavailable');
    const since = performance.now();
    for (const name of ['users', 'analytics']) {
      const { reason, message } = await provision(of(name));
      assert.deepEqual([reason, message], ['PostgresqlUnavailable', 'timeout expired']);
    }
    assert.ok(performance.now() - since < 4_000, 'nobody has asked it, which takes 5 s');
    await clock.advance(5_000);
    proxy.restore();
    assert.equal((await provision(of('users'))).status, 'True');
    assert.equal((await provision(of('orders'))).status, 'True');
  });

  for (const mode of ['session', 'transaction'] as const)
    it(`are ${mode === 'session' ? 'made' : 'refused'} behind a pooler of ${mode}s`, { skip }, async (t) => {
      const { port } = new URL(await startPooler(t, mode));
      create(here, 'pooled', { ...administrator, host: '127.0.0.1', port });
      const one = service(here, 'orders', mode, perNamespace);
      one.spec.postgresql!.superuserSecretRef = { name: 'pooled' };
      const condition = await provision(one);
      const isRefused = mode === 'transaction';
      assert.equal(await exists(newDatabaseName(perNamespace, here, mode)), !isRefused);
      assert.equal(condition.reason, isRefused ? 'PostgresqlPooler' : 'Created');
      if (!isRefused) return;
      assert.match(condition.message!, /^127\.0\.0\.1 of the Secret pooled: a pooler in transaction mode/);
      assert.equal(stalledOf([{ ...condition, type: 'Ready' }]).length, 1, 'nobody waits for it');
    });

  it('get a superuser once, if the server takes it from the Secret', async () => {
    const one = service(here, 'orders', 'orders', perNamespace);
    const missing = { ...one.spec.postgresql!, superuserSecretRef: { name: 'missing' } };
    assert.equal((await provision({ ...one, spec: { ...one.spec, postgresql: missing } })).reason, 'NoSuperuser');
    const newSuperuser = { host: '127.0.0.1', port: Number(address.port), username: 'postgres' };
    const toMake = { ...missing, superuserSecretRef: { name: 'fresh' }, newSuperuser };
    const fresh = { ...one, spec: { ...one.spec, postgresql: toMake } };
    // the server of the test has another password, and says so
    const refused = await provision(fresh);
    assert.equal(refused.reason, 'PostgresqlLoginRefused');
    assert.match(refused.message!, /^PostgreSQL refuses the user postgres of the Secret fresh: .*docs\/disaster\.md/);
    assert.equal(stalledOf([{ ...refused, type: 'Ready' }]).length, 1, 'nobody waits for it');
    const first = server.find<Secret>(secrets, here, 'fresh')!;
    assert.ok(valuesOf(first)['password']!.length >= 32);
    await provision(fresh);
    assert.deepEqual(server.find(secrets, here, 'fresh'), first);
    // as charts of 0.1 name it
    const { superuserSecretRef: _, ...kept } = { ...fresh.spec.postgresql, superuserSecret: 'superuser' };
    assert.equal((await provision({ ...fresh, spec: { ...fresh.spec, postgresql: kept } })).status, 'True');
  });
});
