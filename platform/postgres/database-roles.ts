import pg from 'pg';
import type { ClientBase } from 'pg';

/** The login role that owns a database: its name with `_`. */
export function roleOf(database: string): string {
  return database.replaceAll('-', '_');
}

/** The name of the database: that of its role. */
export const databaseNameOf = (database: string): string => roleOf(database);

/** The advisory lock for creating databases: any number that nothing else on the server uses. */
const rolesLock = 7_226_530_147;

interface WantedDatabase {
  database: string;
  password: string;
}

/**
 * Waits until nobody else creates or drops databases by this file, and then keeps the others waiting until the session ends. So nobody has to
 * ask a server that has fallen silent to unlock.
 */
export async function lockDatabases(client: ClientBase): Promise<void> {
  // the rights of a database are one row: two concurrent changes fail
  await client.query('SELECT pg_advisory_lock($1)', [rolesLock]);
}

/**
 * Creates the missing databases, each with a role that owns it and can connect to no other one, and sets the passwords of
 * the roles. Idempotent. It locks the databases until the session ends.
 * @param client of a superuser, or of a role that can create databases and roles
 */
export async function ensureDatabaseRoles(client: ClientBase, wanted: readonly WantedDatabase[]): Promise<void> {
  await lockDatabases(client);
  await createDatabaseRoles(client, wanted);
}

/**
 * The same for a session that has locked the databases.
 * @param isShared whether others use the server: PostgreSQL's own databases then stay open to their roles
 */
export async function createDatabaseRoles(
  client: ClientBase,
  wanted: readonly WantedDatabase[],
  { isShared = false }: { isShared?: boolean } = {},
): Promise<void> {
  const { rows: roles } = await client.query<{ name: string }>('SELECT rolname AS name FROM pg_roles');
  const roleNames = new Set(roles.map((row) => row.name));
  const { rows: existing } = await client.query<{ name: string }>('SELECT datname AS name FROM pg_database');
  const databaseNames = new Set(existing.map((row) => row.name));
  const { rows: self } = await client.query<{ super: boolean }>(
    'SELECT rolsuper AS super FROM pg_roles WHERE rolname = current_user',
  );
  const isSuperuser = self[0]?.super === true;

  if (isSuperuser && !isShared)
    await client.query('REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC');
  for (const { database, password } of wanted) {
    const role = pg.escapeIdentifier(roleOf(database));
    const name = pg.escapeIdentifier(databaseNameOf(database));
    if (!roleNames.has(roleOf(database))) await client.query(`CREATE ROLE ${role}`);
    // only a superuser may use that attribute, and new roles do not have it
    const rights = isSuperuser ? 'NOSUPERUSER NOCREATEDB NOCREATEROLE' : '';
    await client.query(`ALTER ROLE ${role} LOGIN ${rights} PASSWORD ${pg.escapeLiteral(password)}`);
    // A service that dies or hangs inside a transaction must not hold its locks, nor the outbox's horizon, for long.
    await client.query(`ALTER ROLE ${role} SET idle_in_transaction_session_timeout = '10s'`);
    // without superuser rights, a role can give a database only to a role that it is a member of
    if (!isSuperuser) await client.query(`GRANT ${role} TO CURRENT_USER`);
    if (!databaseNames.has(databaseNameOf(database))) await client.query(`CREATE DATABASE ${name} OWNER ${role}`);
    await client.query(`REVOKE CONNECT, TEMPORARY ON DATABASE ${name} FROM PUBLIC`);
  }
}

/** Gives a role another password; its connections go on. */
export async function setPassword(client: ClientBase, role: string, password: string): Promise<void> {
  await client.query(`ALTER ROLE ${pg.escapeIdentifier(role)} PASSWORD ${pg.escapeLiteral(password)}`);
}

/** Drops a database, even with open connections, and its role. */
export async function dropDatabaseAndRole(client: ClientBase, database: string): Promise<void> {
  await client.query(`DROP DATABASE IF EXISTS ${pg.escapeIdentifier(databaseNameOf(database))} WITH (FORCE)`);
  await client.query(`DROP ROLE IF EXISTS ${pg.escapeIdentifier(roleOf(database))}`);
}
