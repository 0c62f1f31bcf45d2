import assert from 'node:assert/strict';
import { test } from 'node:test';

import { splitStatements } from './statements.ts';

test('splitStatements cuts where PostgreSQL does', () => {
  const script = `-- a comment; with a semicolon
CREATE TABLE a (x text DEFAULT 'a;''b');
/* another; one */ INSERT INTO a VALUES ('--'), ("odd;name");

CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM $$;$$;
END $body$;
;
SELECT 1`;
  assert.deepEqual(
    splitStatements(script).map(({ text, line }) => [line, text.replace(/\s+/g, ' ')]),
    [
      [2, "CREATE TABLE a (x text DEFAULT 'a;''b')"],
      [3, `INSERT INTO a VALUES ('--'), ("odd;name")`],
      [5, 'CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $body$ BEGIN PERFORM $$;$$; END $body$'],
      [10, 'SELECT 1'],
    ],
  );
  assert.deepEqual(splitStatements(' -- nothing\n;'), []);
  for (const open of ["SELECT 'x", 'SELECT $$x', '/* x', 'SELECT "x']) assert.ok(splitStatements(open).length <= 1);
});
