-- Events on their way to Kafka. The relay reads them in commit order per key. Three daily slots; an old slot leaves by TRUNCATE.
CREATE TABLE IF NOT EXISTS millrace.outbox (
  slot smallint NOT NULL DEFAULT (floor(extract(epoch FROM now()) / 86400)::int % 3),
  id bigint GENERATED ALWAYS AS IDENTITY,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  shard smallint NOT NULL GENERATED ALWAYS AS (hashtext(key) & 3) STORED,
  topic text NOT NULL,
  key text NOT NULL,
  event_id text NOT NULL,
  type text NOT NULL,
  source text NOT NULL,
  data bytea NOT NULL,
  headers jsonb,
  traceparent text,
  created_at timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (slot, id)
) PARTITION BY LIST (slot);
CREATE TABLE IF NOT EXISTS millrace.outbox_0 PARTITION OF millrace.outbox FOR VALUES IN (0);
CREATE TABLE IF NOT EXISTS millrace.outbox_1 PARTITION OF millrace.outbox FOR VALUES IN (1);
CREATE TABLE IF NOT EXISTS millrace.outbox_2 PARTITION OF millrace.outbox FOR VALUES IN (2);
CREATE INDEX IF NOT EXISTS outbox_cursor ON millrace.outbox (shard, xid, id);
-- A row may be a pack of many events: compressing it would cost more than writing it.
ALTER TABLE millrace.outbox ALTER COLUMN data SET STORAGE EXTERNAL;

-- How far each shard has been published, and by whom.
CREATE TABLE IF NOT EXISTS millrace.outbox_shards (
  shard smallint PRIMARY KEY,
  xid xid8 NOT NULL DEFAULT '0',
  id bigint NOT NULL DEFAULT 0,
  owner text,
  lease_until timestamptz
);
INSERT INTO millrace.outbox_shards (shard) SELECT generate_series(0, 3) ON CONFLICT DO NOTHING;
