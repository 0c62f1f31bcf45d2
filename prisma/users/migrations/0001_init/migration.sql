CREATE TYPE user_status AS ENUM ('ACTIVE');

CREATE TABLE users (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  username text NOT NULL,
  email text NOT NULL,
  first_name text NOT NULL,
  last_name text NOT NULL,
  status user_status NOT NULL DEFAULT 'ACTIVE',
  version int NOT NULL DEFAULT 1,
  created_at timestamptz(3) NOT NULL DEFAULT now(),
  updated_at timestamptz(3) NOT NULL DEFAULT now()
);
-- Two names that differ only in case would pass for one another.
CREATE UNIQUE INDEX users_username_key ON users (lower(username));
CREATE UNIQUE INDEX users_email_key ON users (lower(email));

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
