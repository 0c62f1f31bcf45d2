-- Long enough to see that pods wait for it.
SELECT pg_sleep(3);
ALTER TABLE users ADD COLUMN next text;
