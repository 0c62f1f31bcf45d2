-- Messages that Kafka refuses until somebody changes the topic, its ACLs or the message, and the later ones of their keys. The
-- relay tries them again, each key in its order, and deletes those that are sent. Whoever deletes a row discards the message.
CREATE TABLE IF NOT EXISTS millrace.outbox_parked (
  outbox text NOT NULL, -- the table or view that the message comes from
  topic text NOT NULL,
  lane bigint NOT NULL GENERATED ALWAYS AS (hashtextextended(key, 0)) STORED, -- a key can be too large for an index
  id bigint NOT NULL,
  part int NOT NULL, -- the number of the message in its row
  shard smallint NOT NULL,
  key text NOT NULL,
  event_id text NOT NULL,
  type text NOT NULL,
  source text NOT NULL,
  data bytea NOT NULL,
  headers jsonb,
  traceparent text,
  created_at timestamptz(3) NOT NULL,
  reason text NOT NULL,
  attempts int NOT NULL, -- 0 for a message that waits behind another one of its key
  since timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (outbox, topic, lane, id, part)
);
ALTER TABLE millrace.outbox_parked ALTER COLUMN data SET STORAGE EXTERNAL;
