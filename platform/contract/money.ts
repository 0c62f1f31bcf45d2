import { Type } from 'typebox';

/** The largest order: 500 items of 10,000 pieces at 1,000,000. */
const maxAmount = 5_000_000_000_000;

/** Up to this amount, the error of `amount * 100` is less than half a cent, so that rounding is exact. */
const maxCents = 2 ** 50;

/**
 * An amount in whole cents; undefined if it has more than two decimals or is more than 2^50 cents. A JSON number with at most
 * two decimals is the double nearest to the decimal, and so is `cents / 100` (IEEE 754 division rounds correctly): comparing
 * the two is exact.
 */
export function toCents(amount: number): number | undefined {
  const cents = Math.round(amount * 100);
  return Math.abs(cents) <= maxCents && cents / 100 === amount ? cents : undefined;
}

/** Whole cents as a JSON number with at most two decimals. */
export function fromCents(cents: number): number {
  return cents / 100;
}

/** A decimal of PostgreSQL (`numeric(19,2)` as text) as a JSON number with at most two decimals. */
export function fromDecimal(text: string): number {
  return Number(text);
}

/** A schema of an amount of money: a JSON number with at most two decimals, not negative. */
export function money(options: { maximum?: number; description?: string } = {}) {
  const number = Type.Number({ minimum: 0, maximum: maxAmount, description: 'A decimal with two places', ...options });
  return Type.Refine(number, hasCents, () => 'must have at most two decimal places');
}

const hasCents = (value: unknown) => typeof value !== 'number' || toCents(value) !== undefined;

/** Whether a schema is one of `money`. */
export function isMoney(schema: object): boolean {
  const refinements = (schema as { '~refine'?: { check?: unknown }[] })['~refine'] ?? [];
  return refinements.length === 1 && refinements[0]!.check === hasCents;
}
