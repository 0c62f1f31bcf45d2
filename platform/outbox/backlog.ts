import type { PoolClient } from '#platform/postgres';

/** What is not published yet. */
export interface ShardBacklog {
  database: string;
  /** the age of the oldest unpublished row in seconds */
  oldest: number;
  /** counted up to 1,000 a shard */
  pending: number;
  /** the oldest unpublished row of each shard that has one */
  shards: { shard: number; id: string }[];
}

const backlogStatement = (source: string) => `
  SELECT current_database() AS database, s.shard, r.id::text, r.pending::int,
    extract(epoch FROM clock_timestamp() - r.oldest)::float8 AS oldest
  FROM (SELECT) one LEFT JOIN millrace.outbox_shards s
    ON s.shard = ANY($1::smallint[]) OR s.owner IS NULL OR s.lease_until IS NULL OR s.lease_until < clock_timestamp()
  LEFT JOIN LATERAL (
    SELECT min(created_at) AS oldest, count(*) AS pending, (array_agg(l.id ORDER BY l.xid, l.id))[1] AS id FROM (
      SELECT o.created_at, o.xid, o.id FROM ${source} o
      WHERE o.shard = s.shard AND (o.xid, o.id) > (s.xid, s.id) AND o.id <> ALL ($2::bigint[])
      ORDER BY o.xid, o.id LIMIT 1000
    ) l
  ) r ON true`;

/** What is not published of the shards in `own`, and of those that no relay owns. @param request.ahead rows that are published */
export async function readBacklog(
  client: PoolClient,
  request: { source: string; own: readonly number[]; ahead: readonly number[] },
): Promise<ShardBacklog> {
  const { source, own, ahead } = request;
  const { rows } = await client.query<{
    database: string;
    shard: number;
    id: string | null;
    pending: number | null;
    oldest: number | null;
  }>(backlogStatement(source), [own, ahead]);
  return {
    database: rows[0]!.database,
    oldest: Math.max(0, ...rows.map((row) => row.oldest ?? 0)),
    pending: rows.reduce((sum, row) => sum + (row.pending ?? 0), 0),
    shards: rows.flatMap(({ shard, id }) => (id === null ? [] : [{ shard, id }])),
  };
}

/** The parked messages of a topic. */
export interface ParkedCount {
  topic: string;
  /** counted up to 10,000 */
  count: number;
  /** when the first one was parked */
  since: string;
  reason: string;
}

const parkedStatement = `
  WITH RECURSIVE topics AS (
    (SELECT topic FROM millrace.outbox_parked WHERE outbox = $1 ORDER BY topic LIMIT 1)
    UNION ALL
    SELECT (SELECT p.topic FROM millrace.outbox_parked p WHERE p.outbox = $1 AND p.topic > t.topic ORDER BY p.topic LIMIT 1)
    FROM topics t WHERE t.topic IS NOT NULL
  )
  SELECT t.topic, p.count::int, to_char(p.since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS since, p.reason
  FROM topics t CROSS JOIN LATERAL (
    SELECT count(*) AS count, min(l.since) AS since, coalesce(min(l.reason) FILTER (WHERE l.attempts > 0), min(l.reason)) AS reason
    FROM (SELECT * FROM millrace.outbox_parked WHERE outbox = $1 AND topic = t.topic LIMIT 10000) l
  ) p WHERE t.topic IS NOT NULL`;

/** The parked messages of an outbox by topic. */
export async function readParked(client: PoolClient, source: string): Promise<ParkedCount[]> {
  const { rows } = await client.query<ParkedCount>(parkedStatement, [source]);
  return rows;
}
