import pg from 'pg';
import type { ClientBase } from 'pg';

/** The comments on a database and on the role of its name. undefined: it does not exist; null: it has no comment. */
export interface Marks {
  database: string | null | undefined;
  role: string | null | undefined;
}

/** Reads the comments, which are in the server and not in the database: no connection to it is needed. */
export async function marksOf(client: ClientBase, name: string): Promise<Marks> {
  const { rows } = await client.query<{ kind: keyof Marks; comment: string | null }>(
    `SELECT 'database' AS kind, shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = $1
     UNION ALL SELECT 'role', shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = $1`,
    [name],
  );
  const of = (kind: keyof Marks) => rows.find((row) => row.kind === kind)?.comment;
  return { database: of('database'), role: of('role') };
}

/** Writes a comment on a database and on the role of its name. */
export async function markDatabase(client: ClientBase, name: string, mark: string): Promise<void> {
  for (const statement of markStatements(name, mark)) await client.query(statement);
}

/** The statements that write the comment. */
export function markStatements(name: string, mark: string): string[] {
  return ['DATABASE', 'ROLE'].map(
    (kind) => `COMMENT ON ${kind} ${pg.escapeIdentifier(name)} IS ${pg.escapeLiteral(mark)}`,
  );
}
