-- The tables of the platform: outbox, inbox, dead letters.
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

-- Inbox: the next offset of each partition, moved in the transaction that holds the effects.
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
