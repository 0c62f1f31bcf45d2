-- The read side of orders: one row an order, as queries want it. Everything here can be built again from the topics.

CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- From user-events. Names are joined when an order is read, so that a new name is one row's change.
CREATE TABLE users (
  id bigint PRIMARY KEY,
  username text, -- null where the user's deletion is all that is known
  email text,
  is_deleted boolean NOT NULL DEFAULT false,
  version int NOT NULL
);
CREATE INDEX users_username_trgm ON users USING gin (username gin_trgm_ops);

-- From order-events. No reference to users: an order may come before its user, on another topic.
CREATE TABLE orders (
  id bigint PRIMARY KEY,
  user_id bigint NOT NULL,
  status text NOT NULL,
  total_amount numeric(19,2) NOT NULL,
  items json, -- null until order.created is known
  shipping_address text,
  notes text,
  is_deleted boolean NOT NULL DEFAULT false,
  version int NOT NULL,
  created_at timestamptz(3) NOT NULL,
  updated_at timestamptz(3) NOT NULL
);
-- Every list is newest first and is continued from (created_at, id).
CREATE INDEX orders_created_at ON orders (created_at, id);
CREATE INDEX orders_user ON orders (user_id, created_at, id);
CREATE INDEX orders_status ON orders (status, created_at, id);
CREATE INDEX orders_total_amount ON orders (total_amount);

-- How many orders are in each status, deleted ones left out: the sum over the partitions. One row a partition of
-- order-events, so that consumers of different partitions never wait for each other.
CREATE TABLE order_statistics (
  partition int NOT NULL,
  status text NOT NULL,
  orders bigint NOT NULL,
  PRIMARY KEY (partition, status)
) WITH (fillfactor = 50);

-- Inbox
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
