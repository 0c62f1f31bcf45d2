-- The next offset of each partition, moved in the transaction that holds the effects.
CREATE TABLE IF NOT EXISTS millrace.inbox_offsets (
  consumer_group text NOT NULL,
  topic text NOT NULL,
  partition int NOT NULL,
  next_offset bigint NOT NULL,
  updated_at timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (consumer_group, topic, partition)
);

-- Messages that a group could not handle, and what became of their replay.
CREATE TABLE IF NOT EXISTS millrace.dead_letters (
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
