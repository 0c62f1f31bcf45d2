-- Version 0.1.0 had the platform's tables in `public`. They move with their rows, indexes and sequences, so that ids, cursors and
-- offsets go on. Pods of that version may still run: a view of the old name serves them, reading and writing, until a
-- later release drops it. A database that never had the tables is left as it is.
--
-- The order is that in which transactions of consumers and relays take the tables' locks.
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['inbox_offsets', 'dead_letters', 'projection_rebuilds', 'outbox_shards',
    'outbox', 'outbox_0', 'outbox_1', 'outbox_2']
  LOOP
    CONTINUE WHEN NOT EXISTS (
      SELECT FROM pg_class WHERE relname = name AND relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p'));
    EXECUTE format('ALTER TABLE public.%I SET SCHEMA millrace', name);
    CONTINUE WHEN name LIKE 'outbox\__';  -- version 0.1.0 names a slot only where `outbox` is a table
    EXECUTE format('CREATE VIEW public.%I AS SELECT * FROM millrace.%I', name, name);
  END LOOP;
END $$;
