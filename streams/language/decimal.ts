import { StreamsError } from '#streams/errors';
import { toCents } from '#platform/contract';

/** An exact decimal number: `unscaled` × 10^-`scale`. */
export interface Decimal {
  readonly unscaled: bigint;
  /** digits after the point, 0 or more */
  readonly scale: number;
}

const decimalText = /^(-?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/;

/** Reads decimal text such as `-12.50` or `1e-7`. @throws StreamsError where it is not one. */
export function parseDecimal(text: string): Decimal {
  const match = decimalText.exec(text);
  if (!match) throw new StreamsError('ERR_QUERY_NUMBER', `'${text}' is no decimal number`);
  const [, sign, whole, fraction = '', exponent = '0'] = match;
  const digits = BigInt(`${sign}${whole}${fraction}`);
  const scale = fraction.length - Number(exponent);
  return scale >= 0 ? { unscaled: digits, scale } : { unscaled: digits * 10n ** BigInt(-scale), scale: 0 };
}

/** The most digits before and after the point that PostgreSQL's numeric can hold. */
const [maxWhole, maxFraction] = [131_072, 16_383];

/** Whether a text is decimal text that PostgreSQL's numeric can hold. */
export function isNumeric(text: string): boolean {
  const [isDecimal, , whole = '', fraction = '', exponent = '0'] = decimalText.exec(text) ?? [];
  if (isDecimal === undefined) return false;
  return whole.length + Number(exponent) <= maxWhole && fraction.length - Number(exponent) <= maxFraction;
}

/** The decimal of a JSON number: the shortest one that parses to the same number. */
export function decimalOf(value: number | bigint): Decimal {
  return typeof value === 'bigint' ? { unscaled: value, scale: 0 } : parseDecimal(String(value));
}

/** The same number with more digits after the point. */
function rescale({ unscaled, scale }: Decimal, to: number): bigint {
  return unscaled * 10n ** BigInt(to - scale);
}

export function addDecimals(a: Decimal, b: Decimal): Decimal {
  const scale = Math.max(a.scale, b.scale);
  return { unscaled: rescale(a, scale) + rescale(b, scale), scale };
}

export function subtractDecimals(a: Decimal, b: Decimal): Decimal {
  return addDecimals(a, { ...b, unscaled: -b.unscaled });
}

export function multiplyDecimals(a: Decimal, b: Decimal): Decimal {
  return { unscaled: a.unscaled * b.unscaled, scale: a.scale + b.scale };
}

/** Negative if a is less than b, 0 if they are equal, else positive. */
export function compareDecimals(a: Decimal, b: Decimal): number {
  const scale = Math.max(a.scale, b.scale);
  const [left, right] = [rescale(a, scale), rescale(b, scale)];
  return left === right ? 0 : left < right ? -1 : 1;
}

/** Decimal text, as PostgreSQL's numeric reads it. */
export function formatDecimal({ unscaled, scale }: Decimal): string {
  if (scale === 0) return unscaled.toString();
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

const digitsOf = (n: bigint): number => n.toString().length;

/** The double nearest to `a / b`, where b is not 0. */
export function quotientOf(a: Decimal, b: Decimal): number {
  const [dividend, divisor] = [a.unscaled * 10n ** BigInt(b.scale), b.unscaled * 10n ** BigInt(a.scale)];
  const scale = Math.max(0, 40 + digitsOf(divisor) - digitsOf(dividend)); // more digits than any tie of doubles has
  const scaled = dividend * 10n ** BigInt(scale);
  return Number(formatDecimal({ unscaled: scaled / divisor, scale }));
}

/** `dividend / divisor` with `scale` digits after the point, halves away from zero. */
function divideRounded(dividend: bigint, divisor: bigint, scale: number): string {
  const negative = dividend < 0n;
  const magnitude = negative ? -dividend : dividend;
  const rounded = (2n * magnitude + divisor) / (2n * divisor);
  return formatDecimal({ unscaled: negative ? -rounded : rounded, scale });
}

/** `sum / count` with `scale` digits after the point, halves away from zero. */
export function average(sum: string, count: string, scale: number): string {
  const dividend = parseDecimal(sum);
  return divideRounded(dividend.unscaled * 10n ** BigInt(scale), BigInt(count) * 10n ** BigInt(dividend.scale), scale);
}

/** Decimal text with exactly `scale` digits after the point, halves away from zero. */
export function roundDecimal(text: string, scale: number): string {
  return average(text, '1', scale);
}

/** A decimal as JSON: a number if a double has exactly this value, else its text. */
export function toJson(text: string): number | string {
  const plain = text.includes('.') ? text.replace(/\.?0+$/, '') : text;
  const number = Number(plain);
  return String(number) === plain || (plain === '-0' && number === 0) ? number : plain;
}

const zero: Decimal = { unscaled: 0n, scale: 0 };

/** Below it, every amount with two decimals has a double of its own. */
const exactCents = 2 ** 46;

/**
 * An exact sum of JSON numbers. Amounts with at most two decimals are summed as hundredths in a number; finer ones, and sums
 * above 2^53, in a BigInt.
 */
export class ExactSum {
  #hundredths = 0;
  #rest = zero;

  add(value: number | bigint): void {
    const isMoney = typeof value === 'number' && Math.abs(value) < exactCents;
    const cents = isMoney ? toCents(value) : undefined;
    if (cents === undefined) {
      this.#rest = addDecimals(this.#rest, decimalOf(value));
      return;
    }
    this.#addHundredths(cents);
  }

  /** Adds another sum. */
  merge(other: ExactSum): void {
    this.#addHundredths(other.#hundredths);
    if (other.#rest !== zero) this.#rest = addDecimals(this.#rest, other.#rest);
  }

  #addHundredths(cents: number): void {
    const sum = this.#hundredths + cents;
    if (Number.isSafeInteger(sum)) {
      this.#hundredths = sum;
    } else {
      this.#rest = addDecimals(this.#rest, { unscaled: BigInt(this.#hundredths), scale: 2 });
      this.#hundredths = cents;
    }
  }

  /** Decimal text. */
  toString(): string {
    if (this.#rest === zero) return hundredths(this.#hundredths);
    return formatDecimal(addDecimals(this.#rest, { unscaled: BigInt(this.#hundredths), scale: 2 }));
  }
}

/** `n / 100` as text. The quotient is the double nearest to the decimal; up to 15 digits, its shortest text is exact. */
function hundredths(n: number): string {
  return Math.abs(n) < 1e15 ? String(n / 100) : formatDecimal({ unscaled: BigInt(n), scale: 2 });
}
