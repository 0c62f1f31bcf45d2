-- The order of a key behind a dead letter, and what became of dead letters by request.
ALTER TABLE millrace.dead_letters
  -- true: a later message of a key with a dead letter; nobody has tried to handle it yet
  ADD COLUMN IF NOT EXISTS is_waiting boolean NOT NULL DEFAULT false,
  -- SHA-256 of the key; null where the order of the key is not kept
  ADD COLUMN IF NOT EXISTS key_hash bytea,
  ADD COLUMN IF NOT EXISTS discarded_at timestamptz(3),
  -- what filters and lists show, beside the headers; null in rows of before
  ADD COLUMN IF NOT EXISTS event_id text,
  ADD COLUMN IF NOT EXISTS type text,
  ADD COLUMN IF NOT EXISTS error_code text,
  -- the last request that selected the row
  ADD COLUMN IF NOT EXISTS job_id bigint;

-- The keys whose next messages wait. The writer of the inbox locks a row FOR SHARE before it lets a message wait, a replay
-- FOR UPDATE before it handles one.
CREATE TABLE IF NOT EXISTS millrace.blocked_keys (
  consumer_group text NOT NULL,
  topic text NOT NULL,
  key_hash bytea NOT NULL,
  -- true: the dead letter is done, and the messages behind it are to be handled
  is_released boolean NOT NULL DEFAULT false,
  PRIMARY KEY (consumer_group, topic, key_hash)
);

-- Requests to replay or discard many dead letters.
CREATE TABLE IF NOT EXISTS millrace.dead_letter_jobs (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  action text NOT NULL,
  selected int NOT NULL,
  created_at timestamptz(3) NOT NULL DEFAULT now()
);

CREATE INDEX IF NOT EXISTS dead_letters_pending ON millrace.dead_letters (consumer_group, is_waiting, id)
  WHERE replayed_at IS NULL AND discarded_at IS NULL;
CREATE INDEX IF NOT EXISTS dead_letters_requested ON millrace.dead_letters (consumer_group, id)
  WHERE replay_requested_at IS NOT NULL AND replay_error IS NULL AND replayed_at IS NULL AND discarded_at IS NULL;
CREATE INDEX IF NOT EXISTS dead_letters_of_key ON millrace.dead_letters (consumer_group, topic, key_hash, is_waiting, id)
  WHERE key_hash IS NOT NULL AND replayed_at IS NULL AND discarded_at IS NULL;
CREATE INDEX IF NOT EXISTS dead_letters_job ON millrace.dead_letters (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS blocked_keys_released ON millrace.blocked_keys (consumer_group) WHERE is_released;
