-- Versions of stream queries. A changed definition is another version: its windows mean something else.
CREATE TABLE stream_queries (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL,
  version int NOT NULL,
  fingerprint text NOT NULL,
  clock text NOT NULL,
  topics text[] NOT NULL,
  retention_ms bigint,
  created_at timestamptz(3) NOT NULL DEFAULT now(),
  UNIQUE (name, version)
);

-- What became of the events, by version. A row is updated by every batch: room for it to stay on its page.
CREATE TABLE stream_counters (
  query_id int PRIMARY KEY,
  matched bigint NOT NULL DEFAULT 0,
  late bigint NOT NULL DEFAULT 0,
  latest_ms bigint NOT NULL DEFAULT 0,
  failed bigint NOT NULL DEFAULT 0,
  last_failure text
) WITH (fillfactor = 20);

-- The latest event time that each partition has come to, by clock ('' is when events happened).
CREATE TABLE stream_watermarks (
  consumer_group text NOT NULL,
  topic text NOT NULL,
  partition int NOT NULL,
  clock text NOT NULL,
  watermark timestamptz(3) NOT NULL,
  updated_at timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (consumer_group, topic, partition, clock)
) WITH (fillfactor = 20);

-- Hashes of the ids of each partition's latest events, a row a batch: an event that a relay sends twice counts once.
CREATE TABLE stream_recent_ids (
  consumer_group text NOT NULL,
  topic text NOT NULL,
  partition int NOT NULL,
  last_offset bigint NOT NULL,
  hashes bytea NOT NULL,
  PRIMARY KEY (consumer_group, topic, partition, last_offset)
);

-- Every window of every query. The key order is that in which transactions lock, and keeps a query's current windows
-- together. No foreign key: query_id comes from stream_queries, and the check would cost every batch.
CREATE TABLE stream_windows (
  query_id int NOT NULL,
  window_start timestamptz(3) NOT NULL,
  window_end timestamptz(3) NOT NULL,
  key text NOT NULL,
  accumulators numeric[] NOT NULL,
  due_at timestamptz(3),                      -- when its change is to be emitted; null: nothing new
  closed boolean,                             -- null: of a query that emits no close
  alerted boolean NOT NULL DEFAULT false,
  emissions int NOT NULL DEFAULT 0,
  updated_at timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (query_id, window_start, key)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.1);
CREATE INDEX stream_windows_due ON stream_windows (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX stream_windows_open ON stream_windows (query_id, window_end) WHERE closed = false;

CREATE TABLE alerts (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  query_id int NOT NULL,
  type text NOT NULL,                         -- the query's name
  severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
  message text NOT NULL,
  key text NOT NULL,
  occurrence text NOT NULL,                   -- the start of the window, or the event's id: once for each
  window_start timestamptz(3),
  window_end timestamptz(3),
  value numeric,
  threshold numeric,
  created_at timestamptz(3) NOT NULL DEFAULT now(),
  UNIQUE (query_id, key, occurrence)
);
CREATE INDEX alerts_type ON alerts (type, id);
CREATE INDEX alerts_severity ON alerts (severity, id);

-- What GET /analytics/stream sends, in commit order: readers go by (xid, id) below the oldest open transaction, as the
-- outbox's relay does. One row holds what one transaction has to say of a kind, each line a JSON text.
CREATE TABLE feed (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  kind text NOT NULL CHECK (kind IN ('order', 'metric', 'alert')),
  items text NOT NULL,
  created_at timestamptz(3) NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX feed_cursor ON feed (xid, id);

-- Outbox: the relay reads it in commit order per key. Three daily slots; an old slot leaves by TRUNCATE.
CREATE TABLE outbox (
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
CREATE TABLE outbox_0 PARTITION OF outbox FOR VALUES IN (0);
CREATE TABLE outbox_1 PARTITION OF outbox FOR VALUES IN (1);
CREATE TABLE outbox_2 PARTITION OF outbox FOR VALUES IN (2);
CREATE INDEX outbox_cursor ON outbox (shard, xid, id);

CREATE TABLE outbox_shards (
  shard smallint PRIMARY KEY,
  xid xid8 NOT NULL DEFAULT '0',
  id bigint NOT NULL DEFAULT 0,
  owner text,
  lease_until timestamptz
);
INSERT INTO outbox_shards (shard) SELECT generate_series(0, 3);

CREATE TABLE inbox_offsets (
  consumer_group text NOT NULL,
  topic text NOT NULL,
  partition int NOT NULL,
  next_offset bigint NOT NULL,
  updated_at timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (consumer_group, topic, partition)
);

CREATE TABLE dead_letters (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  consumer_group text NOT NULL,
  topic text NOT NULL,
  partition int NOT NULL,
  "offset" bigint NOT NULL,
  key text,
  value bytea,
  headers jsonb NOT NULL,
  timestamp timestamptz(3) NOT NULL,
  reason text NOT NULL,
  attempts int NOT NULL,
  created_at timestamptz(3) NOT NULL DEFAULT now(),
  replay_requested_at timestamptz(3),
  replayed_at timestamptz(3),
  replay_error text,
  UNIQUE (consumer_group, topic, partition, "offset")
);
