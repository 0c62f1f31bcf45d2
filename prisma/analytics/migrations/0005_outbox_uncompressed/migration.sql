-- A row of this outbox is a pack of many events: compressing it would cost more than writing it.
ALTER TABLE outbox ALTER COLUMN data SET STORAGE EXTERNAL;
