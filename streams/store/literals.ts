/** An array literal of values that need no quotes. */
export function plainArray<T>(items: readonly T[], value: (item: T) => string | number): string {
  return `{${items.map(value).join(',')}}`;
}

/** A text in an array literal. Most keys are ids, which need no quotes. */
export function arrayText(text: string): string {
  return /^\d+$/.test(text) ? text : `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

/** An array literal of the sets of a window; null if it has none. */
export function setsText(sets: readonly string[]): string | null {
  return sets.length > 0 ? `{${sets.map(arrayText).join(',')}}` : null;
}

/** The numbers of an array literal, as text. They have no quotes. */
export function readAccumulators(literal: string): string[] {
  return literal === '{}' ? [] : literal.slice(1, -1).split(',');
}
