// The statements with which version 0.1.0 uses its tables, word for word.

export const appendSql = `INSERT INTO outbox (topic, key, event_id, type, source, data, headers, traceparent)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::jsonb[], $8::text[])`;

export const moveOffsetsSql = `WITH locked AS (
      SELECT o.topic, o.partition, w.next FROM inbox_offsets o
      JOIN unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[]) AS w(topic, partition, expected, next)
        ON w.topic = o.topic AND w.partition = o.partition
      WHERE o.consumer_group = $1 AND o.next_offset = w.expected
      ORDER BY o.topic, o.partition FOR UPDATE OF o
    )
    UPDATE inbox_offsets o SET next_offset = l.next, updated_at = now() FROM locked l
    WHERE o.consumer_group = $1 AND o.topic = l.topic AND o.partition = l.partition
    RETURNING o.topic, o.partition`;

export const initOffsetsSql = `INSERT INTO inbox_offsets (consumer_group, topic, partition, next_offset)
     SELECT $1, * FROM unnest($2::text[], $3::int[], $4::bigint[]) AS s(topic, partition, next_offset)
     ORDER BY topic, partition ON CONFLICT DO NOTHING`;

export const deadLettersSql = `INSERT INTO dead_letters
      (consumer_group, topic, partition, "offset", key, value, headers, timestamp, reason, attempts)
    SELECT $1, * FROM unnest(
      $2::text[], $3::int[], $4::bigint[], $5::text[], $6::bytea[], $7::jsonb[], $8::timestamptz[], $9::text[], $10::int[])
    ON CONFLICT (consumer_group, topic, partition, "offset") DO UPDATE SET
      key = excluded.key, value = excluded.value, headers = excluded.headers, timestamp = excluded.timestamp,
      reason = excluded.reason, attempts = excluded.attempts, created_at = now(),
      replay_requested_at = NULL, replayed_at = NULL, replay_error = NULL`;

export const announceSql = 'SELECT pg_backend_pid() AS pid, pg_advisory_lock_shared($1, $2)';

export const renewShardsSql = `UPDATE outbox_shards SET
       owner = CASE WHEN shard = ANY($2::smallint[] || $4::smallint[]) THEN $1 END,
       lease_until = CASE WHEN shard = ANY($2::smallint[] || $4::smallint[])
         THEN clock_timestamp() + $3 * interval '1 ms' END
     WHERE owner = $1
       OR (shard = ANY($2::smallint[]) AND (owner IS NULL OR lease_until IS NULL OR lease_until < clock_timestamp()))
     RETURNING shard, xid::text AS xid, id::text AS id, owner, xid > pg_snapshot_xmax(pg_current_snapshot()) AS ahead`;

export const releaseShardsSql = 'UPDATE outbox_shards SET owner = NULL, lease_until = NULL WHERE owner = $1';

export const advanceAndReadSql = `
    WITH horizon AS MATERIALIZED (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS xmin),
    moved AS (
      UPDATE outbox_shards s SET xid = m.xid, id = m.id
      FROM unnest($2::smallint[], $3::xid8[], $4::bigint[]) AS m(shard, xid, id)
      WHERE s.shard = m.shard AND s.owner = $1
      RETURNING s.shard
    )
    SELECT (SELECT array_agg(shard) FROM moved) AS moved, (SELECT xmin::text FROM horizon) AS horizon,
      r.shard, r.xid::text AS xid, r.id::text AS id, r.topic, r.key, r.event_id, r.type, r.source,
      CASE WHEN r.event_id <> ALL ($12::text[]) THEN r.data END AS data, r.headers,
      r.traceparent, r.created_at, r.head, r.cut
    FROM (SELECT) one LEFT JOIN (
      SELECT b.* FROM unnest($5::smallint[], $6::xid8[], $7::bigint[]) AS c(shard, xid, id)
      CROSS JOIN horizon h CROSS JOIN LATERAL (
        SELECT k.*, max(k.id) FILTER (WHERE k.head) OVER () AS last_id, bool_or(NOT k.head) OVER () AS cut
        FROM (
          SELECT l.*, (l.xid < h.xmin OR NOT $9::boolean) AND row_number() OVER w <= $10::int
              AND sum(octet_length(l.data)) OVER w - octet_length(l.data) < $11 AS head
          FROM (
            SELECT o.shard, o.xid, o.id, o.topic, o.key, o.event_id, o.type, o.source, o.data, o.headers, o.traceparent,
              o.created_at
            FROM outbox o
            WHERE o.shard = c.shard AND (o.xid, o.id) > (c.xid, c.id) AND o.id <> ALL ($8::bigint[])
            ORDER BY o.xid, o.id LIMIT $10::int + 1000
          ) l WINDOW w AS (ORDER BY l.xid, l.id)
        ) k
      ) b WHERE b.head OR b.id < b.last_id
    ) r ON true
    ORDER BY r.shard, r.xid, r.id`;
