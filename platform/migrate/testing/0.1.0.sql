-- A database as version 0.1.0 leaves it: its tables, and what a service that has run for a while has in them.

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

-- Requests to build the read model anew, beside the version in use, and how far each is. `version` counts the versions of
-- the read model, of which 0001 is the first.
CREATE TABLE projection_rebuilds (
  version int GENERATED ALWAYS AS IDENTITY (START WITH 2) PRIMARY KEY,
  consumer_group text NOT NULL,
  request text NOT NULL, -- whose it is; asking again with the same asks for nothing new
  phase text NOT NULL DEFAULT 'Requested' CHECK (phase IN ('Requested', 'Building', 'Switched', 'Failed', 'Cancelled')),
  events bigint NOT NULL DEFAULT 0,
  lag bigint,
  error text,
  requested_at timestamptz(3) NOT NULL DEFAULT now(),
  finished_at timestamptz(3)
);
CREATE UNIQUE INDEX projection_rebuilds_request ON projection_rebuilds (request);
-- One at a time.
CREATE UNIQUE INDEX projection_rebuilds_active ON projection_rebuilds (consumer_group)
  WHERE phase IN ('Requested', 'Building');

-- The service's own: what its consumer has done.
CREATE TABLE effects (key text NOT NULL, n int NOT NULL);

-- The events 1 to 15 of the keys 1 and 2 in turn. The first 20 are published, the others wait.
INSERT INTO outbox (topic, key, event_id, type, source, data)
SELECT 'released-events', key::text, key || '-' || n, 'test.happened', '/released', convert_to('{"n":' || n || '}', 'UTF8')
FROM generate_series(1, 15) AS n, generate_series(1, 2) AS key ORDER BY n, key;
UPDATE outbox_shards SET xid = pg_current_xact_id(), id = 20;

-- One group has handled the first 10, another the first 100 of a topic of its own, but for one.
INSERT INTO inbox_offsets (consumer_group, topic, partition, next_offset)
VALUES ('released-group', 'released-events', 0, 10), ('running-group', 'others', 0, 100);
INSERT INTO effects SELECT key::text, n FROM generate_series(1, 5) AS n, generate_series(1, 2) AS key;
INSERT INTO dead_letters (consumer_group, topic, partition, "offset", key, value, headers, timestamp, reason, attempts)
VALUES ('running-group', 'others', 0, 7, 'k', '{}', '{}', now(), 'no such user', 5);

-- The read model was built anew once.
INSERT INTO projection_rebuilds (consumer_group, request, phase, finished_at)
VALUES ('released-group', 'one', 'Switched', now());
