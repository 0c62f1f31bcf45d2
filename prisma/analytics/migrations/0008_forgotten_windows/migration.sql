-- Up to when the windows of a version are forgotten: those that end by then are deleted, and an event for one of them is late. It would
-- make the window anew, without its earlier events. Null: none is forgotten.
ALTER TABLE stream_queries ADD COLUMN forgotten_until timestamptz(3);
