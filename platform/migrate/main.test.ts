import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { databaseUrl, ensureDatabases } from '#local/databases.ts';
import { withClient } from '#platform/postgres';

import { testServers } from '#test/servers.ts';

const { postgres } = testServers();
const program = fileURLToPath(new URL('./main.ts', import.meta.url));
const folder = fileURLToPath(new URL('../../prisma/users', import.meta.url));
const run = (args: string[], env: Record<string, string> = {}) =>
  promisify(execFile)(process.execPath, ['--no-warnings', program, ...args], { env });

describe('the migration program', () => {
  const database = `t_migrate_main_${randomBytes(4).toString('hex')}`;
  const env = { DATABASE_URL: databaseUrl(postgres, database) };

  before(() => ensureDatabases(postgres, [database]));
  after(() =>
    withClient(postgres, async (client) => {
      await client.query(`DROP DATABASE ${database} WITH (FORCE)`);
      await client.query(`DROP ROLE ${database}`);
    }),
  );

  test('waits until another has applied them, says what it waits for, and finds nothing to do the second time', async () => {
    const waiting = spawn(process.execPath, ['--no-warnings', program, '--wait', `${folder}=DATABASE_URL`], { env });
    const said = createInterface(waiting.stdout)[Symbol.asyncIterator]();
    assert.equal((await said.next()).value, 'database users: waiting for 0001_init');

    const { stdout } = await run([`${folder}=DATABASE_URL`], env);
    assert.equal(stdout, 'database users: applied 0001_init\n');
    assert.equal((await said.next()).value, 'database users: every migration is applied');
    assert.deepEqual(await once(waiting, 'close'), [0, null]);

    assert.equal((await run([`${folder}=DATABASE_URL`], env)).stdout, 'database users: up to date\n');
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
