import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { createLogger } from '#platform/telemetry';
import { createTestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { testServers } from '#test/servers.ts';
import { withClient } from './client.ts';
import { createPool } from './pool.ts';

const log = createLogger('rotation-test', 'silent');
const folder = mkdtempSync(join(tmpdir(), 'millrace-secrets-'));
const role = `rotation_${randomBytes(4).toString('hex')}`;

describe('a pool', () => {
  let database: Awaited<ReturnType<typeof createTestDatabase>>;
  const { postgres } = testServers();
  const asAdmin = (sql: string) => withClient(postgres, (client) => client.query(sql));

  before(async () => {
    database = await createTestDatabase();
    process.env['DATABASE_SECRETS_DIR'] = folder;
    const name = new URL(database.url).pathname.slice(1);
    await asAdmin(`CREATE ROLE ${role} LOGIN PASSWORD 'one'; GRANT CONNECT ON DATABASE "${name}" TO ${role}`);
    for (const [secret, values] of [
      ['another', { database: name, username: 'another', password: 'none of ours' }],
      ['mine', { database: name, username: role, password: 'one' }],
    ] as const) {
      mkdirSync(join(folder, secret));
      for (const [key, value] of Object.entries(values)) writeFileSync(join(folder, secret, key), value);
    }
  });
  after(async () => {
    delete process.env['DATABASE_SECRETS_DIR'];
    rmSync(folder, { recursive: true });
    await asAdmin(`DROP OWNED BY ${role}`).catch(() => undefined);
    await database.drop();
    await asAdmin(`DROP ROLE ${role}`);
  });
  const write = (key: string, value: string) => writeFileSync(join(folder, 'mine', key), value);

  it('goes on with the next password of its Secret, whenever PostgreSQL takes it: no statement fails under load', async () => {
    const url = Object.assign(new URL(database.url), { username: role, password: 'one' }).href;
    const pool = createPool({ name: role, url, max: 4, log });
    const over = new AbortController();
    let done = 0;
    const failures: unknown[] = [];
    // each statement has a connection of its own, so that each needs the password
    const load = Array.from({ length: 4 }, async () => {
      while (!over.signal.aborted) {
        try {
          const client = await pool.connect();
          await client.query('SELECT 1');
          client.release(true);
          done += 1;
        } catch (error) {
          failures.push(error);
        }
      }
    });
    const more = async () => {
      const soFar = done;
      await eventually(() => done > soFar + 8, 'statements go on');
    };
    await more();
    write('nextPassword', 'two');
    await more();
    await asAdmin(`ALTER ROLE ${role} PASSWORD 'two'`);
    await more();
    write('password', 'two');
    rmSync(join(folder, 'mine', 'nextPassword'));
    await more();
    // one that came into the Secret before PostgreSQL takes it, with nothing beside it
    write('password', 'three');
    await more();
    await asAdmin(`ALTER ROLE ${role} PASSWORD 'three'`);
    await more();
    over.abort();
    await Promise.all(load);
    await pool.end();
    assert.deepEqual(failures, []);
  });

  it('says so where no password is the right one, and goes on when one is', async () => {
    const url = Object.assign(new URL(database.url), { username: role, password: 'guessed' }).href;
    write('password', 'wrong');
    const pool = createPool({ name: `${role}-wrong`, url, max: 1, log });
    for (let i = 0; i < 2; i += 1) await assert.rejects(pool.query('SELECT 1'), { code: '28P01' });
    write('password', 'three');
    await pool.query('SELECT 1');
    await pool.end();
  });
});
