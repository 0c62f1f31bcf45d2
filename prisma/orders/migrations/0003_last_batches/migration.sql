-- The last batch of orders of each process that places orders. A batch writes it in its own transaction, so that after a lost
-- connection the process can ask what became of the batch, and can keep a late one from being committed. A row for each
-- process, not for each batch: the table stays small. Rows of processes that have ended leave after a day.
CREATE TABLE last_batches (
  placer uuid PRIMARY KEY,
  number bigint NOT NULL,
  order_ids bigint[], -- NULL: the batch must not be committed any more
  placed_at timestamptz(3) NOT NULL DEFAULT now()
) WITH (fillfactor = 50); -- room on the page, so that an update touches no index
