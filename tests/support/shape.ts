import type { Pool } from 'pg';

/** The structure of a database's tables, line by line, to compare with that of another one. */
export async function shapeOf(pool: Pool): Promise<string[]> {
  const { rows } = await pool.query<{ line: string }>(`
    WITH tables AS (
      SELECT c.oid, c.relkind, c.reloptions, format('%I.%I', n.nspname, c.relname) AS name
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname IN ('public', 'millrace') AND c.relkind IN ('r', 'p')
    )
    SELECT format('%s %s %s', name, relkind, reloptions) AS line FROM tables
    UNION ALL
    SELECT format('%s.%s %s identity=%s generated=%s storage=%s notnull=%s default=%s', t.name, attname,
        format_type(atttypid, atttypmod), attidentity, attgenerated, attstorage, attnotnull, pg_get_expr(adbin, adrelid))
      FROM tables t JOIN pg_attribute a ON attrelid = t.oid AND attnum > 0 AND NOT attisdropped
      LEFT JOIN pg_attrdef ON adrelid = t.oid AND adnum = attnum
    UNION ALL
    SELECT format('%s %s %s', t.name, conname, pg_get_constraintdef(c.oid)) FROM tables t JOIN pg_constraint c ON conrelid = t.oid
    UNION ALL
    SELECT pg_get_indexdef(indexrelid) FROM tables t JOIN pg_index ON indrelid = t.oid
    UNION ALL
    SELECT format('%s.%s of %s from %s', schemaname, sequencename, data_type, start_value) FROM pg_sequences
      WHERE schemaname IN ('public', 'millrace')
    ORDER BY line`);
  return rows.map(({ line }) => line);
}

/** The texts that a column may have, by its CHECK or its type. */
export async function allowedTexts(pool: Pool, table: string, column: string): Promise<string[]> {
  const { rows } = await pool.query<{ texts: string[] | null }>(
    `SELECT coalesce(
       (SELECT array_agg(enumlabel::text) FROM pg_enum WHERE enumtypid = atttypid),
       (SELECT array_agg(found[1]) FROM pg_constraint, regexp_matches(pg_get_constraintdef(oid), '''([^'']+)''', 'g') AS found
        WHERE contype = 'c' AND conrelid = attrelid AND conkey = ARRAY[attnum])) AS texts
     FROM pg_attribute WHERE attrelid = $1::regclass AND attname = $2`,
    [table, column],
  );
  return rows[0]!.texts!.toSorted();
}
