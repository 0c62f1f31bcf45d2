import { createHmac } from 'node:crypto';

import { databaseNameOf, ensureDatabaseRoles, roleOf, withClient } from '#platform/postgres';

/**
 * The connection string of a database for its own role. The password follows from the superuser's, so that no other
 * secret is stored.
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
 * Creates the missing databases, each with a role that owns it and can reach no other. Idempotent.
 * @param databases names, as declared
 */
export async function ensureDatabases(superuserUrl: string, databases: string[]): Promise<void> {
  const { password } = new URL(superuserUrl);
  const wanted = databases.map((database) => ({ database, password: rolePassword(password, roleOf(database)) }));
  await withClient(superuserUrl, (client) => ensureDatabaseRoles(client, wanted));
}
