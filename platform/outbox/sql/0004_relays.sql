-- The running relays of this database, which share its shards. A relay whose session is stuck is not counted for long.
CREATE UNLOGGED TABLE IF NOT EXISTS millrace.outbox_relays (
  owner text PRIMARY KEY,
  seen_at timestamptz NOT NULL
);
