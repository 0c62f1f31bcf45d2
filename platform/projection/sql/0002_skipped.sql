-- The dead letters that the build of a version has passed and left out. Where one is replayed before the switch, the build makes
-- up for it.
CREATE TABLE IF NOT EXISTS millrace.projection_skipped (
  version int NOT NULL,
  topic text NOT NULL,
  partition int NOT NULL,
  "offset" bigint NOT NULL,
  PRIMARY KEY (version, topic, partition, "offset")
);
