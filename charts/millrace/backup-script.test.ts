// Runs the script of the CronJob on a real PostgreSQL.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { ensureDatabaseRoles, lockDatabases, markDatabase, marksOf, withClient } from '#platform/postgres';
import type { ClientBase } from '#platform/postgres';
import { eventually } from '#test/eventually.ts';
import { startProgrammedPostgres, withoutPrograms, type ProgrammedPostgres } from '#test/postgres-programs.ts';

describe('the script of a backup', { skip: withoutPrograms }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-backups-'));
  const backups = join(folder, 'backups');
  const script = join(folder, 'backup.sh');
  let postgres: ProgrammedPostgres;

  before(async () => {
    postgres = await startProgrammedPostgres();
    mkdirSync(backups);
    const text = readFileSync(new URL('scripts/backup.sh', import.meta.url), 'utf8');
    writeFileSync(script, text.replaceAll('/backups', backups));
  });
  after(async () => {
    await postgres?.stop();
    rmSync(folder, { recursive: true });
  });

  const asked = <T>(work: (client: ClientBase) => Promise<T>) => withClient(postgres.url, work);
  const urlOf = (database: string) => Object.assign(new URL(postgres.url), { pathname: `/${database}` }).href;
  const things = (database: string) =>
    withClient(urlOf(database), async (client) => {
      const { rows } = await client.query<{ n: number }>('SELECT n FROM things ORDER BY n');
      return rows.map(({ n }) => n);
    });
  const add = (database: string, n: number) =>
    withClient(urlOf(database), (client) => client.query('INSERT INTO things VALUES ($1)', [n]));

  /** A database as the operator makes it, with one thing in it. */
  async function make(database: string, { isOfConsumer = false } = {}): Promise<void> {
    await asked(async (client) => {
      await ensureDatabaseRoles(client, [{ database, password: 'p' }]);
      await markDatabase(client, database, `of ${database}`);
    });
    await withClient(urlOf(database), async (client) => {
      await client.query(`SET ROLE ${database}; CREATE TABLE things (n integer); INSERT INTO things VALUES (1)`);
      if (isOfConsumer) await client.query('CREATE SCHEMA millrace; CREATE TABLE millrace.inbox_offsets AS SELECT 1');
    });
  }

  /** Runs the script. `ended` has its exit code and what it says. */
  function run(env: Record<string, string>) {
    // a group of its own, to kill it with what it has started
    const child = spawn('bash', [script], { detached: true, env: { KEEP: '2', ...postgres.env, ...env } });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text));
    const ended = new Promise<{ code: number | null; said: string }>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve({ code, said }));
    });
    return { ended, kill: () => process.kill(-child.pid!, 'SIGKILL') };
  }

  async function succeed(env: Record<string, string>): Promise<string> {
    const { code, said } = await run(env).ended;
    assert.equal(code, 0, said);
    return said;
  }
  async function backUp(): Promise<string> {
    const isTaken = () =>
      readdirSync(backups).includes(new Date().toISOString().replace(/:(\d\d):(\d\d)\..*/, '$1$2Z'));
    await eventually(() => !isTaken(), 'no backup has the time of now for its name');
    return await succeed({});
  }

  const databases = (like: string) =>
    asked(async (client) => {
      const { rows } = await client.query<{ name: string; isOpen: boolean }>(
        `SELECT datname AS name, datallowconn AS "isOpen" FROM pg_database WHERE datname LIKE $1 ORDER BY 1`,
        [like],
      );
      return rows;
    });
  const waitsFor = (kind: 'advisory' | 'object') =>
    eventually(async () => {
      const waiting = `SELECT FROM pg_locks WHERE NOT granted AND locktype = '${kind}'`;
      return (await asked((client) => client.query(waiting))).rowCount;
    }, `something waits for a lock: ${kind}`);

  test('dumps the databases of consumers before the others, and keeps as many backups as it is told', async () => {
    await make('first');
    await make('reader', { isOfConsumer: true });
    for (const old of ['2020-01-01T000000Z', '2020-01-02T000000Z']) mkdirSync(join(backups, old));
    const said = await backUp();
    assert.match(said, /reader: \d+ bytes\nfirst: \d+ bytes\n/);
    const [kept, made = '', ...more] = readdirSync(backups).toSorted();
    assert.deepEqual([kept, more], ['2020-01-02T000000Z', []]);
    assert.deepEqual(readdirSync(join(backups, made)).toSorted(), ['first.dump', 'reader.dump', 'roles.sql']);
  });

  test('makes no backup that would lack a database', async () => {
    await make('shut');
    const known = readdirSync(backups);
    await asked((client) => client.query('ALTER DATABASE shut ALLOW_CONNECTIONS false'));
    const { code, said } = await run({}).ended;
    await asked((client) => client.query('ALTER DATABASE shut ALLOW_CONNECTIONS true'));
    assert.equal(code, 1);
    assert.match(said, /A backup would lack shut, which takes no connections/);
    assert.deepEqual(readdirSync(backups), known);
  });

  test('says what it cannot restore', async () => {
    const refusal = async (env: Record<string, string>) => {
      const { code, said } = await run(env).ended;
      assert.equal(code, 2, said);
      return said;
    };
    assert.match(await refusal({ RESTORE_DATABASE: 'other' }), /other\.dump is not there/);
    assert.match(await refusal({ RESTORE_DATABASE: 'a"b' }), /is not there/);
    assert.match(await refusal({ RESTORE_DATABASE: 'first', RESTORE_BACKUP: 'none' }), /first\.dump is not there/);
    await make('gone');
    await backUp();
    await asked((client) => client.query('DROP DATABASE gone'));
    assert.match(await refusal({ RESTORE_DATABASE: 'gone' }), /no database gone: let the operator make it first/);
  });

  test('restores under services that connect again and an operator that makes what is missing', async () => {
    await make('busy');
    await backUp();
    await add('busy', 2);
    const over = new AbortController();
    const turns = { service: 0, operator: 0 };
    const service = async () => {
      for (; !over.signal.aborted; turns.service += 1)
        await withClient(urlOf('busy'), (client) => client.query('SELECT pg_sleep(0.1)')).catch(() => undefined);
    };
    const operator = async () => {
      for (; !over.signal.aborted; turns.operator += 1)
        await asked((client) => ensureDatabaseRoles(client, [{ database: 'busy', password: 'p' }]));
    };
    const meanwhile = Promise.all([service(), service(), service(), operator()]);
    try {
      await succeed({ RESTORE_DATABASE: 'busy' });
    } finally {
      over.abort();
      await meanwhile;
    }
    assert.ok(turns.service > 0 && turns.operator > 0, JSON.stringify(turns));
    const [current, former, ...more] = await databases('busy%');
    assert.deepEqual([current, former?.isOpen, more], [{ name: 'busy', isOpen: true }, true, []]);
    assert.match(former!.name, /^busy_before_\d{14}$/);
    assert.deepEqual([await things('busy'), await things(former!.name)], [[1], [1, 2]]);
    assert.equal((await asked((client) => marksOf(client, 'busy'))).database, 'of busy');
    const rights = `SELECT pg_get_userbyid(datdba) AS owner, has_database_privilege('first', oid, 'CONNECT') AS others
      FROM pg_database WHERE datname = 'busy'`;
    assert.deepEqual((await asked((client) => client.query(rights))).rows, [{ owner: 'busy', others: false }]);
  });

  test('changes nothing when it is killed, wherever it is', async () => {
    await make('kept');
    await backUp();
    await add('kept', 2);
    const restoring = run({ RESTORE_DATABASE: 'kept' });
    await asked(async (holder) => {
      await asked(async (client) => {
        await lockDatabases(client);
        await waitsFor('advisory');
        // the operator, which has the lock, finds the database, and so do services
        const [current, unfinished, ...more] = await databases('kept%');
        assert.deepEqual([current, more], [{ name: 'kept', isOpen: true }, []]);
        assert.match(unfinished!.name, /^kept_restored_\d{14}$/);
        assert.deepEqual(await things('kept'), [1, 2]);
        // holds up the renaming of the second one, after that of the first one
        await holder.query(`BEGIN; COMMENT ON DATABASE ${unfinished!.name} IS 'held'`);
      });
      await waitsFor('object');
      restoring.kill();
      await restoring.ended;
      await holder.query('ROLLBACK');
    });
    await eventually(async () => {
      const sessions = `SELECT FROM pg_stat_activity WHERE application_name = 'psql'`;
      return (await asked((client) => client.query(sessions))).rowCount === 0;
    }, 'the sessions of the script have ended');
    assert.deepEqual((await databases('kept%'))[0], { name: 'kept', isOpen: true });
    assert.deepEqual(await things('kept'), [1, 2]);

    await succeed({ RESTORE_DATABASE: 'kept' });
    const names = (await databases('kept%')).map(({ name }) => name.replace(/\d{14}/, 'TIME'));
    assert.deepEqual(names, ['kept', 'kept_before_TIME']);
    assert.deepEqual(await things('kept'), [1]);
  });
});
