import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { databaseUrl, ensureDatabases } from '#local/databases.ts';
import { withClient } from '#platform/postgres';

import { testServers } from '#test/servers.ts';
import { platformMigrations } from './platform.ts';

const { postgres } = testServers();
const program = fileURLToPath(new URL('./main.ts', import.meta.url));
const { NODE_COMPILE_CACHE } = process.env;
const run = (args: string[], env: Record<string, string> = {}) =>
  promisify(execFile)(process.execPath, ['--no-warnings', program, ...args], { env: { NODE_COMPILE_CACHE, ...env } });

describe('the migration program', () => {
  const parent = mkdtempSync(join(tmpdir(), 'millrace-migrate-main-'));
  const folder = join(parent, 'rooms');
  const database = `t_migrate_main_${randomBytes(4).toString('hex')}`;
  const env = { DATABASE_URL: databaseUrl(postgres, database) };

  before(async () => {
    mkdirSync(join(folder, 'migrations/0001_init'), { recursive: true });
    writeFileSync(join(folder, 'schema.prisma'), 'datasource db {\n  provider = "postgresql"\n}\n');
    writeFileSync(join(folder, 'migrations/0001_init/migration.sql'), 'CREATE TABLE rooms (id int);');
    await ensureDatabases(postgres, [database]);
  });
  after(async () => {
    await withClient(postgres, async (client) => {
      await client.query(`DROP DATABASE ${database} WITH (FORCE)`);
      await client.query(`DROP ROLE ${database}`);
    });
    rmSync(parent, { recursive: true });
  });

  test('waits until another has applied them, says what it waits for, and finds nothing to do the second time', async () => {
    const all = [...platformMigrations().map(({ name }) => name), '0001_init'].join(', ');
    const waiting = spawn(process.execPath, ['--no-warnings', program, '--wait', `${folder}=DATABASE_URL`], { env });
    const closed = once(waiting, 'close'); // it may end before the migration does
    const said = createInterface(waiting.stdout)[Symbol.asyncIterator]();
    assert.equal((await said.next()).value, `database rooms: waiting for ${all}`);

    const { stdout } = await run([`${folder}=DATABASE_URL`], env);
    assert.equal(stdout, `database rooms: applied ${all}\n`);
    const whenApplied = 'database rooms: every migration is applied';
    // it may also look when the platform's migrations are applied and the others are not
    for (let line = await said.next(); line.value !== whenApplied; line = await said.next()) assert.ok(!line.done);
    assert.deepEqual(await closed, [0, null]);

    assert.equal((await run([`${folder}=DATABASE_URL`], env)).stdout, 'database rooms: up to date\n');
  });

  test('ends where PostgreSQL refuses the password: it gets another one when it is started again', async () => {
    const url = new URL(env.DATABASE_URL);
    url.password = 'of-before';
    const waiting = run(['--wait', `${folder}=DATABASE_URL`, `${folder}=OTHER_URL`], {
      DATABASE_URL: url.href,
      OTHER_URL: env.DATABASE_URL,
    });
    await assert.rejects(waiting, (error: { code: number; stderr: string }) => {
      assert.equal(error.code, 1);
      assert.match(error.stderr, /password authentication failed/);
      return true;
    });
  });

  test('says what is wrong with its arguments', async () => {
    for (const [args, expected] of [
      [[], /No schema folder is given/],
      [['prisma/users'], /'prisma\/users' is no <folder>=<variable>/],
      [['prisma/users=NO_SUCH'], /The variable NO_SUCH is not set/],
    ] as const) {
      await assert.rejects(run([...args]), (error: { code: number; stderr: string }) => {
        assert.equal(error.code, 2);
        assert.match(error.stderr, expected);
        return true;
      });
    }
  });
});
