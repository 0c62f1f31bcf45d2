import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import {
  ExactSum,
  addDecimals,
  average,
  decimalOf,
  formatDecimal,
  isNumeric,
  parseDecimal,
  roundDecimal,
  toJson,
} from './decimal.ts';

/** The sum of decimal texts in whole units of 10^-scale. */
function unitsOf(texts: readonly string[], scale: number): bigint {
  return texts.reduce((sum, text) => {
    const { unscaled, scale: own } = parseDecimal(text);
    return sum + unscaled * 10n ** BigInt(scale - own);
  }, 0n);
}

const money = fc.integer({ min: -50_000_000_000_000, max: 50_000_000_000_000 }).map((cents) => cents / 100);
const finite = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e30, max: 1e30 });

describe('decimals', () => {
  it('knows what PostgreSQL can hold', () => {
    for (const text of ['0', '-12.50', '1e-7', '5e-324', '1e131071', '9'.repeat(131_072), '1e-16383']) {
      assert.equal(isNumeric(text), true, text.slice(0, 20));
    }
    for (const text of [
      '',
      ' ',
      ' 1',
      '0x10',
      '1_0',
      '.5',
      'NaN',
      'Infinity',
      '1e131072',
      '1e-16384',
      '1e99999999999',
    ]) {
      assert.equal(isNumeric(text), false, text);
    }
  });

  it('reads what it writes', () => {
    fc.assert(
      fc.property(fc.bigInt(), fc.nat(30), (unscaled, scale) => {
        assert.deepEqual(parseDecimal(formatDecimal({ unscaled, scale })), { unscaled, scale });
      }),
    );
  });

  it('takes a JSON number for the decimal that was written', () => {
    assert.deepEqual(decimalOf(0.1), { unscaled: 1n, scale: 1 });
    assert.deepEqual(decimalOf(1e21), { unscaled: 10n ** 21n, scale: 0 });
    assert.deepEqual(decimalOf(1.5e-7), { unscaled: 15n, scale: 8 });
    assert.deepEqual(decimalOf(-12n), { unscaled: -12n, scale: 0 });
    assert.throws(() => parseDecimal('12,5'), /'12,5' is no decimal number/);
  });

  it('adds numbers of different scales', () => {
    assert.equal(formatDecimal(addDecimals(parseDecimal('0.1'), parseDecimal('-2.0055'))), '-1.9055');
  });

  it('rounds halves away from zero', () => {
    assert.equal(average('10', '4', 0), '3');
    assert.equal(average('-10', '4', 0), '-3');
    assert.equal(average('100', '3', 2), '33.33');
    assert.equal(roundDecimal('1000.5', 2), '1000.50');
    assert.equal(roundDecimal('0.005', 2), '0.01');
    assert.equal(roundDecimal('2.675', 2), '2.68');
  });

  it('becomes a JSON number where one holds it exactly, else text', () => {
    assert.equal(toJson('1500.50'), 1500.5);
    assert.equal(toJson('0.00'), 0);
    assert.equal(toJson('100'), 100);
    assert.equal(toJson('9007199254740991'), 9007199254740991);
    assert.equal(toJson('9007199254740993'), '9007199254740993');
    assert.equal(toJson('12345678901234567.89'), '12345678901234567.89');
  });
});

describe('ExactSum', () => {
  it('adds money exactly where binary floating point does not', () => {
    const sum = new ExactSum();
    for (let i = 0; i < 10; i++) sum.add(0.1);
    sum.add(0.2);
    assert.equal(sum.toString(), '1.2');
  });

  it('equals the sum of the decimals, in any order', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(money, finite, fc.bigInt())), (values) => {
        const sum = new ExactSum();
        for (const value of values) sum.add(value);
        const texts = values.map(String);
        const scale = Math.max(2, ...texts.map((text) => parseDecimal(text).scale), parseDecimal(sum.toString()).scale);
        assert.equal(unitsOf([sum.toString()], scale), unitsOf(texts, scale));
      }),
    );
  });

  it('stays exact past 2^53 hundredths', () => {
    const sum = new ExactSum();
    for (let i = 0; i < 300; i++) sum.add(45_000_000_000_000.01);
    assert.equal(sum.toString(), '13500000000000003.00');
  });
});
