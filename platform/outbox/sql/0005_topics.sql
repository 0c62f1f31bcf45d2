-- Over how many partitions the events of a topic are spread. A topic that gets more partitions keeps the number here until
-- somebody changes it: another number moves keys to other partitions, which consumers can read before the earlier events.
CREATE TABLE IF NOT EXISTS millrace.outbox_topics (
  topic text PRIMARY KEY,
  partitions int NOT NULL,
  held_until timestamptz -- until then its events wait
);
