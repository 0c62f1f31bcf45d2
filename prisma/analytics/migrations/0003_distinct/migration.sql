-- What distinct counts are counted from, in the order of their accumulators: a JSON list of the texts, or beyond a bound the
-- registers of a HyperLogLog sketch in base64. Null in windows of queries without one.
ALTER TABLE stream_windows ADD COLUMN sets text[];
