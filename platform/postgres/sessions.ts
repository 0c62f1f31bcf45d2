import type { ClientBase, ClientConfig, Pool } from 'pg';
import { PlatformError } from '#platform/errors';
import { withConnection } from './client.ts';
import { markConnecting } from './errors.ts';

const connectMs = 5_000;
/** a server that is frozen answers no statement */
const answerMs = 5_000;
/** the pools whose connections are known to be sessions */
const checked = new WeakSet<Pool>();

/**
 * Checks, once for a pool, that its connections are sessions of PostgreSQL: leases and locks are bound to a session.
 * @throws ERR_DATABASE_POOLER if there is a pooler in transaction mode, or the error of the database
 */
export async function assertSessions(pool: Pool): Promise<void> {
  if (checked.has(pool)) return;
  const { connectionString, ssl, application_name: name } = pool.options;
  const settings = { connectionString, ssl, application_name: name, connectionTimeoutMillis: connectMs };
  try {
    await withConnection(settings, (client) => assertSession(client, settings), answerMs);
    checked.add(pool);
  } catch (error) {
    throw markConnecting(error); // the work that needs the sessions has not begun
  }
}

/**
 * Checks that a connection is a session of PostgreSQL. A pooler in transaction mode gives it another session at each transaction: it
 * gives the session of an idle connection to the next one that begins, or, where it has several, one after the other to the same one.
 * @param client is in no transaction
 * @param settings what it was made with
 * @throws ERR_DATABASE_POOLER if there is such a pooler, or the error of the database
 */
export async function assertSession(client: ClientBase, settings: ClientConfig): Promise<void> {
  const own = new Set([await sessionOf(client), await sessionOf(client)]);
  const begin = async (second: ClientBase) => {
    await second.query('BEGIN');
    const other = await sessionOf(second);
    // a pooler that has one session lets the first connection wait for the end of this transaction
    if (!own.has(other)) own.add(await sessionOf(client));
    if (own.size > 1 || own.has(other)) {
      throw new PlatformError(
        'ERR_DATABASE_POOLER',
        'a pooler in transaction mode is between the service and PostgreSQL: connect to PostgreSQL itself, or set pool_mode=session',
      );
    }
  };
  await withConnection(settings, begin, answerMs);
}

async function sessionOf(client: ClientBase): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return rows[0]!.pid;
}
