-- What the columns of text lose: bytes that are no UTF-8, repeated headers and those without a value, times beyond the
-- range of timestamptz. The older columns are for people and filters; a row from before has them alone.
ALTER TABLE millrace.dead_letters
  ADD COLUMN IF NOT EXISTS key_bytes bytea,
  -- the headers in their order: [name, value or null] in base64
  ADD COLUMN IF NOT EXISTS header_list jsonb,
  ADD COLUMN IF NOT EXISTS timestamp_ms bigint,
  -- true: the row could not hold the message, and says only where it is
  ADD COLUMN IF NOT EXISTS is_reference boolean NOT NULL DEFAULT false;
