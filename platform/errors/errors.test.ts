import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { PlatformError, messageOf, toError } from './index.ts';

test('an error is logged with its code and what caused it', () => {
  let line = '';
  const log = pino({}, { write: (text: string) => (line = text) });
  const cause = new Error('connection refused');
  log.warn({ err: new PlatformError('ERR_OUTBOX_NOT_PUBLISHED', 'not published', { cause }) });
  const { err } = JSON.parse(line) as { err: { code: string; stack: string } };
  assert.equal(err.code, 'ERR_OUTBOX_NOT_PUBLISHED');
  assert.match(err.stack, /connection refused/);
});

test('whatever was thrown has a message, and is an error where one is needed', () => {
  const error = new Error('no');
  assert.deepEqual([messageOf(error), messageOf('thrown text')], ['no', 'thrown text']);
  assert.equal(toError(error), error);
  assert.equal(toError('thrown text').message, 'thrown text');
});
