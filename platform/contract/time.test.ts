import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseTime } from './time.ts';

test('a time without a zone is UTC', () => {
  assert.equal(parseTime('2026-01-31T10:00:00')?.toISOString(), '2026-01-31T10:00:00.000Z');
  assert.equal(parseTime('2026-01-31')?.toISOString(), '2026-01-31T00:00:00.000Z');
  assert.equal(parseTime('2026-01-31T10:00')?.toISOString(), '2026-01-31T10:00:00.000Z');
});

test('a zone is honoured, also where its plus sign became a blank in a query string', () => {
  assert.equal(parseTime('2026-01-31T10:00:00+02:00')?.toISOString(), '2026-01-31T08:00:00.000Z');
  assert.equal(parseTime('2026-01-31T10:00:00 02:00')?.toISOString(), '2026-01-31T08:00:00.000Z');
});

test('what is no real time is refused', () => {
  for (const text of [
    '',
    'today',
    '2026-02-30',
    '2026-13-01',
    '2026-01-01T25:00:00',
    '1e3',
    '2026-01-01; DROP TABLE',
  ]) {
    assert.equal(parseTime(text), undefined, text);
  }
});

test('every ISO time is read as itself', () => {
  const years = { min: new Date('1970-01-01'), max: new Date('2200-01-01'), noInvalidDate: true };
  fc.assert(
    fc.property(fc.date(years), (date) => assert.equal(parseTime(date.toISOString())?.getTime(), date.getTime())),
  );
});
