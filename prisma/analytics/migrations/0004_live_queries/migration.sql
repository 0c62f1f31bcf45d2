-- Queries change while workers run. The definition is kept: a worker runs versions that its files no longer have, or have
-- not yet.
ALTER TABLE stream_queries
  ADD COLUMN definition text,                 -- the YAML; null: registered by a service that kept none
  ADD COLUMN served_at timestamptz(3),        -- since when its windows are those of the query; null: it is being built
  ADD COLUMN released_at timestamptz(3),      -- since when everything that it held back while it was built is emitted
  ADD COLUMN retired_at timestamptz(3);       -- since when it takes no more events
UPDATE stream_queries q SET served_at = created_at, released_at = created_at,
  retired_at = CASE WHEN EXISTS (SELECT FROM stream_queries n WHERE n.name = q.name AND n.version > q.version) THEN now() END;

-- With which consumer group, and from which offset on, a version takes the events of a partition. Without a row: with the
-- service's own group, from the first event.
CREATE TABLE stream_members (
  query_id int NOT NULL,
  topic text NOT NULL,
  partition int NOT NULL,
  consumer_group text NOT NULL,
  from_offset bigint NOT NULL,
  PRIMARY KEY (query_id, topic, partition)
);

-- Grows with every change of the two tables above: a transaction sees by one number whether what it knows is still so.
CREATE TABLE stream_epoch (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  epoch bigint NOT NULL
);
INSERT INTO stream_epoch (epoch) VALUES (1);

-- An alert is raised once for a query, whichever of its versions saw it first. The index by version stays: services of the
-- version before name it.
DELETE FROM alerts a USING alerts first
  WHERE first.type = a.type AND first.key = a.key AND first.occurrence = a.occurrence AND first.id < a.id;
CREATE UNIQUE INDEX alerts_once ON alerts (type, key, occurrence);
