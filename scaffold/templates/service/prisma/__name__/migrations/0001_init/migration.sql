CREATE TABLE __table__ (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL,
  created_at timestamptz(3) NOT NULL DEFAULT now()
);
--? consumes

-- The latest event of each aggregate of the topics that the service consumes.
CREATE TABLE latest_events (
  topic text NOT NULL,
  key text NOT NULL,
  event_id text NOT NULL,
  type text NOT NULL,
  time timestamptz(3) NOT NULL,
  PRIMARY KEY (topic, key)
);
CREATE INDEX latest_events_time_idx ON latest_events (time DESC);
--? end
