/** As long as a whole number can be that a double does not hold; texts and fractions can look like one, and do no harm. */
const long = /\d{16}/;

/** Whether JSON text can have a whole number that a double does not hold. */
export const hasLongNumber = (text: string): boolean => long.test(text);

/**
 * Parses JSON as JSON.parse does, but a whole number that a double does not hold exactly becomes a BigInt: two ids that differ
 * stay two keys. @throws SyntaxError
 */
export function parseExactly(text: string): unknown {
  return JSON.parse(text, hasLongNumber(text) ? exact : undefined) as unknown;
}

function exact(_name: string, value: unknown, { source = '' }: { source?: string } = {}): unknown {
  const isExact = typeof value !== 'number' || !Number.isInteger(value) || Number.isSafeInteger(value);
  return isExact || !/^-?\d+$/.test(source) ? value : BigInt(source);
}
