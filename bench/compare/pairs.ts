import { noteOf, type Result } from './figures.ts';

export type Side = 'old' | 'new';

/** One run of each, one directly after the other. */
export type Pair = Record<Side, Result>;

/** Which runs first in each pair: it alternates, so that a steady change of the machine favours neither. */
export function runOrder(pairs: number): [Side, Side][] {
  return Array.from({ length: pairs }, (_, i) => (i % 2 === 0 ? ['old', 'new'] : ['new', 'old']));
}

/** The middle value, or the mean of the two in the middle. */
export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted[Math.floor(sorted.length / 2)]];
  return low === undefined || high === undefined ? Number.NaN : low === high ? low : (low + high) / 2;
}

/** New by old; 1 for two zeros. */
export function ratio(older: number, newer: number): number {
  return older === newer ? 1 : newer / older;
}

/** A figure of the bench. Values are missing if only some runs have it, for example if a process was renamed. */
export interface Row {
  name: string;
  /** medians */
  old: number | undefined;
  new: number | undefined;
  /** of each pair */
  ratios: (number | undefined)[];
  ratio: number | undefined;
}

/** One row for each figure that any run has. */
export function compareFigures(pairs: Pair[]): Row[] {
  const names = new Set(pairs.flatMap((pair) => [...pair.new.figures.keys(), ...pair.old.figures.keys()]));
  return [...names].map((name) => {
    const of = (side: Side) => pairs.map((pair) => pair[side].figures.get(name));
    const [older, newer] = [of('old'), of('new')];
    const ratios = older.map((value, i) => {
      const other = newer[i];
      return value === undefined || other === undefined ? undefined : ratio(value, other);
    });
    return { name, old: medianOf(older), new: medianOf(newer), ratios, ratio: medianOf(ratios) };
  });
}

function medianOf(values: (number | undefined)[]): number | undefined {
  const present = values.filter((value) => value !== undefined);
  return present.length === 0 ? undefined : median(present);
}

/** The comparison as a table, followed by the conditions that were false in some runs. */
export function formatComparison(pairs: Pair[]): string {
  const text = (value: number | undefined, digits: number) => (value === undefined ? '-' : value.toFixed(digits));
  const plain = (value: number | undefined) => (value === undefined ? '-' : String(Number(value.toFixed(3))));
  const head = ['', 'old', 'new', ...pairs.map((_, i) => `pair ${i + 1}`), 'median ratio', ''];
  const rows = compareFigures(pairs).map((row) => [
    row.name,
    plain(row.old),
    plain(row.new),
    ...row.ratios.map((value) => text(value, 2)),
    text(row.ratio, 3),
    noteOf(row.name),
  ]);
  return [
    'Medians of old and new, new / old in each pair, and the median of these ratios:',
    ...align([head, ...rows]),
    ...checksOf(pairs),
  ].join('\n');
}

/** Aligns the first and the last column left, the others right. */
function align(rows: string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => {
        if (column === 0 || column === row.length - 1) return cell.padEnd(widths[column]!);
        return cell.padStart(widths[column]!);
      })
      .join('  ')
      .trimEnd(),
  );
}

function checksOf(pairs: Pair[]): string[] {
  const names = new Set(pairs.flatMap((pair) => [...pair.new.checks.keys(), ...pair.old.checks.keys()]));
  return [...names].flatMap((name) => {
    const of = (side: Side) => pairs.map((pair) => pair[side].checks.get(name)).filter((value) => value !== undefined);
    const count = (side: Side) => `${side} in ${of(side).filter(Boolean).length} of ${of(side).length} runs`;
    return [...of('old'), ...of('new')].every(Boolean) ? [] : [`${name}: ${count('old')}, ${count('new')}`];
  });
}
