import type { Socket } from 'node:net';
import { Client } from 'pg';
import type { Pool } from 'pg';
import { PlatformError } from '#platform/errors';
import { markConnecting } from './errors.ts';

const connectMs = 5_000;
/** how long a statement may take, in milliseconds: a server that is frozen answers none */
const queryMs = 5_000;
/** how long the end of a connection may take, in milliseconds */
const endMs = 1_000;
/** the pools whose connections are known to be sessions */
const checked = new WeakSet<Pool>();

/**
 * Checks, once for a pool, that its connections are sessions of PostgreSQL: leases and locks are bound to a session. A pooler in
 * transaction mode gives a connection another session at each transaction: it gives the session of an idle connection to the next
 * one that begins.
 * @throws ERR_DATABASE_POOLER if there is such a pooler, or the error of the database
 */
export async function assertSessions(pool: Pool): Promise<void> {
  if (checked.has(pool)) return;
  const [first, second] = [clientOf(pool), clientOf(pool)];
  try {
    await Promise.all([first, second].map((client) => client.connect()));
    const idle = await sessionOf(first);
    await second.query('BEGIN');
    const other = await sessionOf(second);
    if (other === idle) {
      throw new PlatformError(
        'ERR_DATABASE_POOLER',
        'a pooler in transaction mode is between the service and PostgreSQL: connect to PostgreSQL itself, or set pool_mode=session',
      );
    }
    checked.add(pool);
  } catch (error) {
    throw markConnecting(error); // the work that needs the sessions has not begun
  } finally {
    await Promise.all([first, second].map(end));
  }
}

function clientOf({ options }: Pool): Client {
  const { connectionString, ssl, application_name: name } = options;
  const client = new Client({
    connectionString,
    ssl,
    application_name: name,
    connectionTimeoutMillis: connectMs,
    query_timeout: queryMs,
  });
  client.on('error', () => undefined);
  return client;
}

/** Says goodbye to the server, which need not answer. */
async function end(client: Client): Promise<void> {
  const { connection } = client as Client & { connection: { stream: Socket } };
  const timer = setTimeout(() => connection.stream.destroy(), endMs);
  await client.end().catch(() => undefined);
  clearTimeout(timer);
}

async function sessionOf(client: Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return rows[0]!.pid;
}
