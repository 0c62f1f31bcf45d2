-- Long enough to be seen waiting for.
SELECT pg_sleep(3);
ALTER TABLE users ADD COLUMN next text;
