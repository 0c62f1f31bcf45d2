-- Where the log of each partition ends that the relays have sent to, as far as they know. One that ends earlier has lost events; and
-- where it has events of this outbox after that end, which the database does not have, the database was put back to an earlier time.
CREATE TABLE IF NOT EXISTS millrace.outbox_ends (
  topic text NOT NULL,
  partition int NOT NULL,
  topic_id text NOT NULL, -- of Kafka (KIP-516); empty where the brokers have none
  next_offset bigint NOT NULL,
  lost_from bigint, -- where the log was found to end before that, until its events are published again
  PRIMARY KEY (topic, partition)
);
