-- The platform owns its tables: they are in its schema `millrace`, which its own migrations make before these run. In a database
-- of version 0.1.0 they have moved there, and left views. In a new database the migrations before have just made them once more, empty.
DO $$
DECLARE
  name text;
  is_used boolean;
BEGIN
  FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
    AND relname IN ('outbox', 'outbox_shards', 'inbox_offsets', 'dead_letters', 'projection_rebuilds')
  LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', name) INTO is_used;
    IF is_used AND name <> 'outbox_shards' THEN
      RAISE EXCEPTION 'public.% has rows: let platform/migrate/main.ts move it before this', name;
    END IF;
    EXECUTE format('DROP TABLE public.%I', name);
  END LOOP;
END $$;
