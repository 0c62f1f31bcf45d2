-- Sessions: windows that grow, and become one where they touch. A row of another kind of window has null.
ALTER TABLE stream_windows
  ADD COLUMN replaces timestamptz(3)[];       -- starts under which a session, or what is now part of it, was emitted before
-- A batch looks for the sessions of its keys that end after its first event. Windows of other kinds are not in it.
CREATE INDEX stream_windows_sessions ON stream_windows (query_id, key, window_end) WHERE replaces IS NOT NULL;
