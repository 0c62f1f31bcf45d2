import { Type } from 'typebox';

/** The largest order: 500 items of 10,000 pieces at 1,000,000. */
const maxAmount = 5_000_000_000_000;

/** Up to here `amount * 100` is off by less than half a cent, so that rounding finds the cents. */
const maxCents = 2 ** 50;

/**
 * Money as whole cents, or undefined where the amount has more than two decimal places or is beyond 2^50 cents.
 * A JSON number with at most two places is the double nearest to that decimal, and so is `cents / 100`
 * (IEEE 754 division rounds correctly): comparing the two is exact.
 */
export function toCents(amount: number): number | undefined {
  const cents = Math.round(amount * 100);
  return Math.abs(cents) <= maxCents && cents / 100 === amount ? cents : undefined;
}

/** Whole cents as the JSON number with at most two places. */
export function fromCents(cents: number): number {
  return cents / 100;
}

/** A decimal of PostgreSQL (`numeric(19,2)` as text) as the JSON number with at most two places. */
export function fromDecimal(text: string): number {
  return Number(text);
}

/** A schema of an amount of money: a JSON number with at most two decimal places, not negative. */
export function money(options: { maximum?: number; description?: string } = {}) {
  const number = Type.Number({ minimum: 0, maximum: maxAmount, description: 'A decimal with two places', ...options });
  return Type.Refine(
    number,
    (value) => typeof value !== 'number' || toCents(value) !== undefined,
    () => 'must have at most two decimal places',
  );
}
