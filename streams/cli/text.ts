const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const;

/** Milliseconds as in a query file, `90m`. */
export function durationText(ms: number): string {
  const [unit, size] = units.find(([, each]) => ms >= each && ms % each === 0) ?? ['ms', 1];
  return `${ms / size}${unit}`;
}

/** A time as ISO 8601; empty without a time. */
export function isoText(time: number | null): string {
  return time === null ? '' : new Date(time).toISOString();
}

/** Lines of columns, each as wide as its widest cell; numbers are aligned right. */
export function table(rows: readonly (readonly (string | number)[])[], indent = ''): string {
  const widths = rows.reduce<number[]>(
    (widest, row) => row.map((cell, i) => Math.max(widest[i] ?? 0, String(cell).length)),
    [],
  );
  const line = (row: readonly (string | number)[]) =>
    row.map((cell, i) => (typeof cell === 'number' ? String(cell).padStart(widths[i]!) : cell.padEnd(widths[i]!)));
  return rows.map((row) => `${indent}${line(row).join('  ')}`.trimEnd()).join('\n');
}

/** `1 window`, `2 windows`. */
export function countOf(count: number, one: string): string {
  return `${count} ${one}${count === 1 ? '' : 's'}`;
}
