import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { createLogger } from '#platform/telemetry';
import { eventually } from '#test/eventually.ts';
import { freePort } from '#test/ports.ts';
import { testServers } from '#test/servers.ts';
import { withClient } from './database-roles.ts';
import { isUnavailable } from './errors.ts';
import { createPool, ping } from './pool.ts';
import { assertSessions } from './sessions.ts';

const log = createLogger('sessions-test', 'silent');
const pgbouncer = '/usr/sbin/pgbouncer';
const skip = !existsSync(pgbouncer) || process.getuid?.() !== 0 ? 'it needs pgbouncer, and root to start it' : false;

/** Starts a pooler in front of the tests' PostgreSQL. @returns the connection string by it */
async function startPooler(t: TestContext, mode: 'session' | 'transaction'): Promise<string> {
  const { hostname, port: serverPort, username, password, pathname } = new URL(testServers().postgres);
  const folder = mkdtempSync(join(tmpdir(), 'millrace-pgbouncer-'));
  const port = await freePort();
  const config = join(folder, 'pgbouncer.ini');
  writeFileSync(
    config,
    `[databases]
* = host=${hostname} port=${serverPort} user=${username} password=${password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
ignore_startup_parameters = options, statement_timeout, extra_float_digits
`,
  );
  chmodSync(folder, 0o755);
  const child = spawn(pgbouncer, ['-q', '-u', 'nobody', config], { stdio: 'ignore' });
  t.after(async () => {
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    rmSync(folder, { recursive: true });
  });
  const url = `postgresql://${username}@127.0.0.1:${port}${pathname}`;
  await eventually(
    () => withClient(url, (client) => client.query('SELECT 1')).then(Boolean, () => false),
    'pgbouncer answers',
  );
  return url;
}

/** A message of PostgreSQL's protocol: https://www.postgresql.org/docs/18/protocol-message-formats.html */
function reply(type: string, body: Buffer): Buffer {
  const head = Buffer.from(`${type}....`);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

const ready = reply('Z', Buffer.from('I'));
/** The answer to any query: one row with the number 7. */
const seven = Buffer.concat([
  reply(
    'T',
    Buffer.concat([
      Buffer.from([0, 1]),
      Buffer.from('pid\0'),
      Buffer.alloc(6),
      Buffer.from([0, 0, 0, 23, 0, 4, 255, 255, 255, 255, 0, 0]),
    ]),
  ),
  reply('D', Buffer.from([0, 1, 0, 0, 0, 1, 0x37])),
  reply('C', Buffer.from('SELECT 1\0')),
  ready,
]);

/** Starts a server that takes every login, and answers every query, or none. @returns its connection string */
async function startServer(t: TestContext, answer: Buffer | undefined): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('data', () => {
      socket.write(Buffer.concat([reply('R', Buffer.alloc(4)), ready]));
      socket.on('data', (data) => data[0] === 0x51 && answer && socket.write(answer)); // Q: a query
    });
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `postgresql://anybody@127.0.0.1:${(server.address() as AddressInfo).port}/any`;
}

function poolOf(t: TestContext, url: string) {
  const pool = createPool({ name: `sessions-${process.pid}`, url, max: 1, log });
  t.after(() => pool.end());
  return pool;
}

describe('a database', () => {
  it('is ready without a pooler', async (t) => {
    const pool = poolOf(t, testServers().postgres);
    await ping(pool);
    await ping(pool);
  });

  it('ends the sessions that stand still in a transaction, whoever has made the role', async (t) => {
    const { rows } = await poolOf(t, testServers().postgres).query('SHOW idle_in_transaction_session_timeout');
    assert.deepEqual(rows, [{ idle_in_transaction_session_timeout: '10s' }]);
  });

  it('is ready behind a pooler of sessions', { skip }, async (t) => {
    await ping(poolOf(t, await startPooler(t, 'session')));
  });

  it('is away where it takes the login and answers nothing', async (t) => {
    const pool = poolOf(t, await startServer(t, undefined));
    await assert.rejects(assertSessions(pool), (error) => isUnavailable(error));
  });

  it('is refused behind a pooler of transactions', { skip }, async (t) => {
    await assert.rejects(ping(poolOf(t, await startPooler(t, 'transaction'))), { code: 'ERR_DATABASE_POOLER' });
  });

  it('is refused where two connections share a session', async (t) => {
    await assert.rejects(ping(poolOf(t, await startServer(t, seven))), { code: 'ERR_DATABASE_POOLER' });
  });
});
