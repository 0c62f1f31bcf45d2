CREATE TYPE notification_status AS ENUM ('PENDING', 'SENT', 'FAILED');
CREATE TYPE notification_channel AS ENUM ('EMAIL');

-- What user-events say about a user. A deleted user's row stays, without its data, so that a late event is recognised.
CREATE TABLE recipients (
  user_id bigint PRIMARY KEY,
  email text,
  first_name text,
  last_name text,
  version int NOT NULL,
  deleted_at timestamptz(3),
  CHECK (deleted_at IS NOT NULL OR email IS NOT NULL)
);

-- Half of each page is left free: a row is rewritten once, when its outcome is known, and stays on its page without
-- touching an index (no indexed column changes).
CREATE TABLE notifications (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id bigint NOT NULL,
  event_id text NOT NULL,
  type text NOT NULL,
  channel notification_channel NOT NULL DEFAULT 'EMAIL',
  recipient text,
  subject text NOT NULL,
  body text NOT NULL,
  status notification_status NOT NULL DEFAULT 'PENDING',
  attempts int NOT NULL DEFAULT 0,
  last_error text,
  created_at timestamptz(3) NOT NULL DEFAULT now(),
  sent_at timestamptz(3)
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX notifications_event_id_key ON notifications (event_id);
CREATE INDEX notifications_user_id_id_idx ON notifications (user_id, id DESC);

-- The work list of the senders: one row for each PENDING notification; it leaves when the notification is SENT or FAILED.
-- A claim only moves claimed_until, which no index has, so that it stays cheap. No foreign key: its check would cost more
-- than the insert, and a notification is not deleted while it is PENDING.
CREATE TABLE deliveries (
  notification_id bigint PRIMARY KEY,
  due_at timestamptz(3) NOT NULL DEFAULT now(),
  claimed_until timestamptz(3),
  traceparent text
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX deliveries_due_at_idx ON deliveries (due_at, notification_id);

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
