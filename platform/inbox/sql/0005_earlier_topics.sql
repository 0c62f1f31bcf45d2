-- The offset of a dead letter in a topic that was deleted and created again afterwards. Its "offset" is then a negative number, which
-- no message has: a message of the present topic can become a dead letter at the same offset. NULL is one of the present topic.
ALTER TABLE millrace.dead_letters ADD COLUMN IF NOT EXISTS earlier_offset bigint;
