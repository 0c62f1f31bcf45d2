import { createHmac } from 'node:crypto';

import pg from 'pg';

/** The login role that owns a database: its name with `_`. */
export function roleOf(database: string): string {
  return database.replaceAll('-', '_');
}

/** The name of the database itself, which is the role's. */
export const databaseNameOf = roleOf;

/**
 * The connection string of a database for its own role. The password follows from the superuser's, so that nothing else has
 * to be kept.
 */
export function databaseUrl(superuserUrl: string, database: string, role = roleOf(database)): string {
  const url = new URL(superuserUrl);
  url.password = rolePassword(url.password, role);
  url.username = role;
  url.pathname = `/${databaseNameOf(database)}`;
  return url.href;
}

function rolePassword(superuserPassword: string, role: string): string {
  return createHmac('sha256', superuserPassword).update(role).digest('base64url');
}

/**
 * Creates what is missing of the databases, each with a role that owns it and can reach no other. Idempotent.
 * @param databases names, as declared
 */
export async function ensureDatabases(superuserUrl: string, databases: string[]): Promise<void> {
  await withClient(superuserUrl, async (client) => {
    const { rows: roles } = await client.query<{ name: string }>('SELECT rolname AS name FROM pg_roles');
    const roleNames = new Set(roles.map((row) => row.name));
    const { rows: existing } = await client.query<{ name: string }>('SELECT datname AS name FROM pg_database');
    const databaseNames = new Set(existing.map((row) => row.name));

    await client.query('REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC');
    for (const database of databases) {
      const role = client.escapeIdentifier(roleOf(database));
      const name = client.escapeIdentifier(databaseNameOf(database));
      const password = client.escapeLiteral(rolePassword(new URL(superuserUrl).password, roleOf(database)));
      if (!roleNames.has(roleOf(database))) await client.query(`CREATE ROLE ${role}`);
      await client.query(`ALTER ROLE ${role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD ${password}`);
      // A service that dies or hangs inside a transaction must not hold its locks, nor the outbox's horizon, for long.
      await client.query(`ALTER ROLE ${role} SET idle_in_transaction_session_timeout = '10s'`);
      if (!databaseNames.has(databaseNameOf(database))) await client.query(`CREATE DATABASE ${name} OWNER ${role}`);
      await client.query(`REVOKE CONNECT, TEMPORARY ON DATABASE ${name} FROM PUBLIC`);
    }
  });
}

/** Runs `work` with a connection of its own. */
export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
