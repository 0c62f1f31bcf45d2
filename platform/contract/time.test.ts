import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseEventTime, parseTime } from './time.ts';

test('a time without a zone is UTC', () => {
  assert.equal(parseTime('2026-01-31T10:00:00')?.toISOString(), '2026-01-31T10:00:00.000Z');
  assert.equal(parseTime('2026-01-31')?.toISOString(), '2026-01-31T00:00:00.000Z');
  assert.equal(parseTime('2026-01-31T10:00')?.toISOString(), '2026-01-31T10:00:00.000Z');
});

test('24:00 is the end of the day', () => {
  for (const clock of ['24:00', '24:00:00', '24:00:00.000Z', '24:00:00.000000000+00:00']) {
    assert.equal(parseTime(`2026-01-31T${clock}`)?.toISOString(), '2026-02-01T00:00:00.000Z', clock);
  }
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
    '2026-02-29',
    '2100-02-29',
    '000',
    '2026-01-01T24:00:01',
    '2026-01-01T24:01',
    '2026-01-01T10:00:00+24:00',
    '2026-01-01Z',
    '٢٠٢٦-01-01',
    '2026-01-01T25:00:00',
    '1e3',
    '2026-01-01; DROP TABLE',
  ]) {
    assert.equal(parseTime(text), undefined, text);
  }
});

test('each day of a leap year is a day', () => {
  for (const year of ['0000', '2000', '2024', '2096']) {
    assert.equal(parseTime(`${year}-02-29`)?.toISOString(), `${year}-02-29T00:00:00.000Z`);
  }
});

test('every ISO time is read as itself', () => {
  const years = { min: new Date('1970-01-01'), max: new Date('2200-01-01'), noInvalidDate: true };
  fc.assert(
    fc.property(fc.date(years), (date) => assert.equal(parseTime(date.toISOString())?.getTime(), date.getTime())),
  );
});

test('the time of an event is the same on each machine, and none if the day is none', () => {
  assert.equal(parseEventTime('2026-01-31T10:00:00'), Date.UTC(2026, 0, 31, 10));
  assert.equal(parseEventTime('2026-01-31t10:00:00.5z'), Date.UTC(2026, 0, 31, 10, 0, 0, 500));
  assert.equal(parseEventTime('2026-01-31T10:00:00-05:00'), Date.UTC(2026, 0, 31, 15));
  for (const text of [
    '1',
    '2026',
    '2026-02-30T00:00:00Z',
    '31 Jan 2026',
    '2026-01-31T10:00:00 02:00',
    '+012026-01-31T10:00:00Z',
  ])
    assert.equal(parseEventTime(text), Number.NaN, text);
});

/** What the text is by the slow way. */
const parsed = (text: string) => (text.includes(' ') ? Number.NaN : (parseTime(text)?.getTime() ?? Number.NaN));

test('the time of an event does not depend on the one before', () => {
  const date = fc.date({ min: new Date(0), max: new Date(200_000), noInvalidDate: true });
  const texts = fc.oneof(
    date.map((one) => one.toISOString()),
    fc.date({ noInvalidDate: true }).map((one) => one.toISOString()),
    fc.tuple(date, fc.nat(23), fc.constantFrom('0', '6', '9', '.', ':', 'Z', ' ', 'x')).map(([one, at, piece]) => {
      const text = one.toISOString();
      return text.slice(0, at) + piece + text.slice(at + 1);
    }),
    fc.constantFrom('1970-01-01T24:00:00.000Z', '1970-01-01T24:00:01.000Z', '1970-02-30T00:00:00.000Z', '1970', ''),
  );
  fc.assert(
    fc.property(fc.array(texts, { maxLength: 5 }), (all) => {
      for (const text of all) assert.equal(parseEventTime(text), parsed(text), text);
    }),
    { numRuns: 1_000 },
  );
});
