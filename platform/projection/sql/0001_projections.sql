-- The consumer groups whose read model can be built anew: a service writes its own down when it starts.
CREATE TABLE millrace.projections (
  consumer_group text PRIMARY KEY
);
-- Version 0.1.0 had the table of requests where there was such a read model: its service need not have started anew.
DO $$
BEGIN
  IF to_regclass('millrace.projection_rebuilds') IS NOT NULL THEN
    INSERT INTO millrace.projections SELECT DISTINCT consumer_group FROM millrace.inbox_offsets;
  END IF;
END $$;

-- Requests to build a read model anew, beside the version in use, and how far each is. `version` counts the versions of
-- the read models, of which the service's own migrations made the first.
CREATE TABLE IF NOT EXISTS millrace.projection_rebuilds (
  version int GENERATED ALWAYS AS IDENTITY (START WITH 2) PRIMARY KEY,
  consumer_group text NOT NULL,
  request text NOT NULL, -- whose it is; asking again with the same asks for nothing new
  phase text NOT NULL DEFAULT 'Requested' CHECK (phase IN ('Requested', 'Building', 'Switched', 'Failed', 'Cancelled')),
  events bigint NOT NULL DEFAULT 0,
  lag bigint,
  error text,
  requested_at timestamptz(3) NOT NULL DEFAULT now(),
  finished_at timestamptz(3)
);
CREATE UNIQUE INDEX IF NOT EXISTS projection_rebuilds_request ON millrace.projection_rebuilds (request);
-- One at a time.
CREATE UNIQUE INDEX IF NOT EXISTS projection_rebuilds_active ON millrace.projection_rebuilds (consumer_group)
  WHERE phase IN ('Requested', 'Building');
