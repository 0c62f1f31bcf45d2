import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { lastLines, openLog } from './log-file.ts';

test('a log keeps the lines of earlier runs, and a large one is put aside', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-log-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'kafka.log');
  const write = (line: string) => {
    const log = openLog(file);
    writeSync(log, `${line}\n`);
    closeSync(log);
  };
  assert.equal(lastLines(file, 2), '');
  for (const line of ['one', 'two', 'three']) write(line);
  assert.equal(lastLines(file, 2), 'two\nthree');
  truncateSync(file, (16 << 20) + 1);
  write('four');
  assert.equal(readFileSync(file, 'utf8'), 'four\n');
  assert.ok(readFileSync(`${file}.1`, 'utf8').startsWith('one\n'));
});
