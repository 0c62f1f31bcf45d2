-- The transaction ids of the rows and of the cursors are those of one PostgreSQL server; after a restore on another one the relay
-- numbers the rows anew. All rows of a shard up to `last_id` are published, whatever server they come from.
ALTER TABLE millrace.outbox_shards ADD COLUMN IF NOT EXISTS last_id bigint NOT NULL DEFAULT 0;
ALTER TABLE millrace.outbox_shards ADD COLUMN IF NOT EXISTS server text; -- its system identifier
