import pg from 'pg';

import { databaseUrl } from '#local/databases.ts';
import { databaseNameOf, roleOf, withClient } from '#platform/postgres';
import type { System } from '../system.ts';
import { insist, nothing, Skipped, type Inject, type Undo } from './fault.ts';
import { freezeProcess } from './processes.ts';

/** A longer wait for the lock would keep everybody waiting behind it. */
const lockMs = 5_000;
/** PostgreSQL recovers from a crash within this time. */
const serverMs = 15_000;

/** Kills the process of one session of a database: PostgreSQL then ends all sessions and recovers. */
export const killBackend: Inject = async (system, { target, choice }) => {
  process.kill(await backendOf(system, target, choice), 'SIGKILL');
  return nothing;
};

/** Freezes the process of one session: it keeps its locks and its connection, and answers nothing. */
export const freezeBackend: Inject = async (system, { target, choice }) =>
  freezeProcess(await backendOf(system, target, choice));

/** The process of one of the sessions that a service has to a database. */
async function backendOf(system: System, database: string, choice: number): Promise<number> {
  const pids = await withClient(system.postgres, async (client) => {
    const { rows } = await client.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE 'millrace-%' ORDER BY backend_start, pid`,
      [databaseNameOf(database)],
    );
    return rows.map(({ pid }) => pid);
  });
  const pid = pids[Math.floor(choice * pids.length)];
  if (pid === undefined) throw new Skipped(`no service has a session in ${database} now`);
  return pid;
}

/** Locks a table against everybody. @param target `database.table` */
export const lock: Inject = async (system, { target }) => {
  const [database, table] = target.split('.') as [string, string];
  const client = new pg.Client({ connectionString: urlOf(system, database), connectionTimeoutMillis: lockMs });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query(`SET lock_timeout = ${lockMs}; BEGIN; LOCK TABLE ${pg.escapeIdentifier(table)}`);
  } catch (error) {
    await client.end();
    throw error;
  }
  // the end of the session ends the transaction
  return () => client.end();
};

/** Changes the password of a database's role and ends its sessions. */
export const changePassword: Inject = async (system, { target }) => {
  const role = pg.escapeIdentifier(roleOf(target));
  const right = new URL(databaseUrl(system.postgres, target)).password;
  const change = (password: string) => `ALTER ROLE ${role} PASSWORD ${pg.escapeLiteral(password)}`;
  return whole(system, [change('another'), endSessions(target)], [change(right)]);
};

/** Makes a database refuse connections, and ends those that it has. */
export const refuseConnections: Inject = async (system, { target }) => {
  const database = pg.escapeIdentifier(databaseNameOf(target));
  const allow = (allowed: boolean) => `ALTER DATABASE ${database} ALLOW_CONNECTIONS ${allowed}`;
  return whole(system, [allow(false), endSessions(target)], [allow(true)]);
};

function endSessions(database: string): string {
  return `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = ${pg.escapeLiteral(databaseNameOf(database))} AND pid <> pg_backend_pid()`;
}

/** Runs statements as the superuser. Where only some of them could be run, they are undone at once. */
async function whole(system: System, cause: readonly string[], end: readonly string[]): Promise<Undo> {
  const undo = () => run(system, end);
  try {
    await insist(() => run(system, cause), serverMs);
  } catch (error) {
    await insist(undo, serverMs);
    throw error;
  }
  return undo;
}

async function run(system: System, statements: readonly string[]): Promise<void> {
  await withClient(system.postgres, async (client) => {
    for (const statement of statements) await client.query(statement);
  });
}

function urlOf({ postgres }: System, database: string): string {
  const url = new URL(postgres);
  url.pathname = `/${databaseNameOf(database)}`;
  return url.href;
}
