-- The id of the topic that from_offset counts in: a topic that is deleted and created again gets another one. Null is not known.
ALTER TABLE stream_members ADD COLUMN topic_id text;

-- What a replayed dead letter of the service's own group does not bring to a version, or brings it whatever its from_offset is.
CREATE TABLE stream_letters (
  query_id int NOT NULL,
  topic text NOT NULL,
  partition int NOT NULL,
  "offset" bigint NOT NULL,
  is_taken boolean NOT NULL, -- true: the version has it from its backfill; false: the backfill could not handle it
  PRIMARY KEY (topic, partition, "offset", query_id)
);
