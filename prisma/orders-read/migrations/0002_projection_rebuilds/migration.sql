-- Requests to build the read model anew, beside the version in use, and how far each is. `version` counts the versions of
-- the read model, of which 0001 is the first.
CREATE TABLE projection_rebuilds (
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
CREATE UNIQUE INDEX projection_rebuilds_request ON projection_rebuilds (request);
-- One at a time.
CREATE UNIQUE INDEX projection_rebuilds_active ON projection_rebuilds (consumer_group)
  WHERE phase IN ('Requested', 'Building');
