import { PlatformError } from '#platform/errors';

import type { TopicPartition } from '#platform/kafka';
import pg from 'pg';
import type { PoolClient } from 'pg';
import { TopicChanged } from './logs.ts';

/** Each version of a read model has a schema: the version in use, the next one, and, for a moment, the one before. */
const live = 'public';
export const nextSchema = 'projection_next';
const oldSchema = 'projection_old';

/** How long the switch waits for running queries: later queries wait behind it. */
const lockTimeout = '200ms';

/** Thrown when a migration has changed the tables in use, so that those of the new version differ. */
class TablesDiffer extends PlatformError {
  override name = 'TablesDiffer';

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_PROJECTION_TABLES_DIFFER', message, options);
  }
}

/**
 * Creates the empty tables of a new version, with the same names, constraints, indexes and settings as those in use: after
 * the switch, migrations and all others find no difference.
 */
export async function createNextTables(tx: PoolClient, tables: readonly string[]): Promise<void> {
  await dropNextTables(tx);
  await tx.query(`CREATE SCHEMA ${nextSchema}`);
  for (const table of tables) {
    await tx.query(
      `CREATE TABLE ${nextSchema}.${table} (LIKE ${live}.${table} INCLUDING DEFAULTS INCLUDING GENERATED
        INCLUDING IDENTITY INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING COMMENTS INCLUDING STATISTICS)`,
    );
    for (const statement of await definitionsOf(tx, table)) await tx.query(statement);
  }
}

export async function dropNextTables(tx: PoolClient): Promise<void> {
  await tx.query(`DROP SCHEMA IF EXISTS ${nextSchema} CASCADE`);
}

/** The statements that give a table of the new version the same constraints, indexes and settings. */
async function definitionsOf(tx: PoolClient, table: string): Promise<string[]> {
  const { rows } = await tx.query<{ statement: string }>(
    `SELECT format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s', $2::text, $3::text, conname, pg_get_constraintdef(oid))
       AS statement FROM pg_constraint WHERE conrelid = $1::regclass AND contype IN ('p', 'u', 'c')
     UNION ALL
     SELECT replace(pg_get_indexdef(i.indexrelid), ' ON ' || $4 || '.', ' ON ' || $2 || '.')
       FROM pg_index i WHERE i.indrelid = $1::regclass
         AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
     UNION ALL
     SELECT format('ALTER TABLE %I.%I SET (%s)', $2::text, $3::text, array_to_string(reloptions, ', '))
       FROM pg_class WHERE oid = $1::regclass AND reloptions IS NOT NULL`,
    [`${live}.${table}`, nextSchema, table, live],
  );
  return rows.map(({ statement }) => statement);
}

/** The columns and indexes of a version's tables, for a comparison. */
export async function shapeOf(tx: PoolClient, tables: readonly string[], schema: string): Promise<string> {
  const { rows } = await tx.query<{ shape: string }>(
    `SELECT string_agg(line, E'\\n' ORDER BY line) AS shape FROM (
       SELECT table_name || '.' || column_name || ' ' || udt_name || ' ' || is_nullable AS line
         FROM information_schema.columns WHERE table_schema = $1 AND table_name = ANY ($2)
       UNION ALL SELECT replace(indexdef, ' ON ' || $1 || '.', ' ON ') FROM pg_indexes
         WHERE schemaname = $1 AND tablename = ANY ($2)) lines`,
    [schema, tables],
  );
  return rows[0]?.shape ?? '';
}

/** The two versions of a switch. */
export interface Switch {
  tables: readonly string[];
  /** of the version in use */
  group: string;
  /** the group of the new version */
  building: string;
  /** what both read */
  topics: readonly string[];
}

/**
 * Stops the version in use until the end of the transaction: no batch of it commits.
 * @returns the offsets that it reads next
 */
export async function holdVersionInUse(
  tx: PoolClient,
  { group, topics }: Switch,
): Promise<(TopicPartition & { next: bigint })[]> {
  await tx.query(`SET LOCAL lock_timeout = ${pg.escapeLiteral(lockTimeout)}`);
  const { rows } = await tx.query<TopicPartition & { next_offset: string }>(
    `SELECT topic, partition, next_offset FROM millrace.inbox_offsets WHERE consumer_group = $1 AND topic = ANY ($2)
     ORDER BY topic, partition FOR UPDATE`,
    [group, topics],
  );
  return rows.map(({ topic, partition, next_offset }) => ({ topic, partition, next: BigInt(next_offset) }));
}

/**
 * Replaces the version in use by the new one, and gives the group its offsets, if the new version has caught up in every
 * partition, so that readers never go back. In a partition without an offset nothing holds the version in use: there is no switch.
 * Part of the transaction that holds the version in use; queries that start after it see the new version.
 * @param complete called when nothing writes to either version any more
 * @returns whether it had caught up
 * @throws TablesDiffer, TopicChanged, or PostgreSQL's error if queries hold the tables for too long
 */
export async function switchTables(
  tx: PoolClient,
  { tables, group, building, topics }: Switch,
  complete: () => Promise<void>,
): Promise<boolean> {
  // from here on, no batch of the new version commits either
  const { rows } = await tx.query<{ topic: string; isBehind: boolean; isOther: boolean | null }>(
    `WITH locked AS (
       SELECT * FROM millrace.inbox_offsets WHERE consumer_group IN ($1, $2) AND topic = ANY ($3)
       ORDER BY consumer_group, topic, partition FOR UPDATE
     )
     SELECT topic, used.topic IS NULL OR new.topic IS NULL OR new.next_offset < used.next_offset AS "isBehind",
       new.next_offset > used.next_offset OR new.topic_id <> used.topic_id AS "isOther"
     FROM (SELECT * FROM locked WHERE consumer_group = $1) used
     FULL JOIN (SELECT * FROM locked WHERE consumer_group = $2) new USING (topic, partition)`,
    [group, building, topics],
  );
  const other = rows.find(({ isOther }) => isOther);
  if (other) throw new TopicChanged(other.topic);
  if (rows.length === 0 || rows.some(({ isBehind }) => isBehind)) return false;
  if ((await shapeOf(tx, tables, live)) !== (await shapeOf(tx, tables, nextSchema))) {
    throw new TablesDiffer('a migration has changed the tables meanwhile: ask for another rebuild');
  }
  // replays write to the tables without the offsets: those that have begun to are done now, and others wait for the new tables
  await tx.query(`LOCK TABLE ${tables.map((table) => `${live}.${table}`).join(', ')} IN ACCESS EXCLUSIVE MODE`);
  await complete();
  await tx.query(`CREATE SCHEMA ${oldSchema}`);
  for (const table of tables) {
    await tx.query(`ALTER TABLE ${live}.${table} SET SCHEMA ${oldSchema}`);
    await tx.query(`ALTER TABLE ${nextSchema}.${table} SET SCHEMA ${live}`);
  }
  await tx.query('DELETE FROM millrace.inbox_offsets WHERE consumer_group = $1', [group]);
  await tx.query(
    'UPDATE millrace.inbox_offsets SET consumer_group = $1, updated_at = now() WHERE consumer_group = $2',
    [group, building],
  );
  await tx.query(`DROP SCHEMA ${oldSchema} CASCADE`);
  await tx.query(`DROP SCHEMA ${nextSchema} CASCADE`);
  return true;
}
