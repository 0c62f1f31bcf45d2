-- The id of the topic that an offset counts in: a topic that is deleted and created again gets another one. NULL is not known yet.
ALTER TABLE millrace.inbox_offsets ADD COLUMN IF NOT EXISTS topic_id text;
