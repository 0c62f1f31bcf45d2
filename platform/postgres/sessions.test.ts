import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { createLogger } from '#platform/telemetry';
import { ignored, startPooler, withoutPooler as skip } from '#test/pooler.ts';
import { testServers } from '#test/servers.ts';
import { withClient } from './client.ts';
import { isUnavailable } from './errors.ts';
import { createPool, ping } from './pool.ts';
import { assertSessions } from './sessions.ts';

const log = createLogger('sessions-test', 'silent');

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

  it('is refused behind a pooler of transactions that has one session', { skip }, async (t) => {
    const url = await startPooler(t, 'transaction', [ignored, 'default_pool_size = 1']);
    await assert.rejects(ping(poolOf(t, url)), { code: 'ERR_DATABASE_POOLER' });
  });

  it('is refused behind a pooler of transactions that takes its sessions in turn', { skip }, async (t) => {
    const url = await startPooler(t, 'transaction', [ignored, 'server_round_robin = 1']);
    await withClient(url, async (first) => {
      await first.query('BEGIN');
      await withClient(url, (second) => second.query('SELECT 1')); // the pooler has two sessions now
      await first.query('COMMIT');
    });
    await assert.rejects(ping(poolOf(t, url)), { code: 'ERR_DATABASE_POOLER' });
  });

  it(
    'is refused with the same sentence behind one that refuses the settings of the connections',
    { skip },
    async (t) => {
      const url = await startPooler(t, 'transaction', []);
      await assert.rejects(poolOf(t, url).query('SELECT 1'), /unsupported startup parameter/);
      await assert.rejects(ping(poolOf(t, url)), { code: 'ERR_DATABASE_POOLER' });
    },
  );

  it('is refused where two connections share a session', async (t) => {
    await assert.rejects(ping(poolOf(t, await startServer(t, seven))), { code: 'ERR_DATABASE_POOLER' });
  });
});
