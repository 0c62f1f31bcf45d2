import type { Value } from './values.ts';

const mark = '<!-- values -->';

/**
 * A chart's README: its text up to the mark, and a table of every value after it.
 * @throws Error if the text has no mark
 */
export function readmeOf(text: string, values: Value[]): string {
  const end = text.indexOf(mark);
  if (end < 0) throw new Error(`README.md has no ${mark}`);
  const rows = values.flatMap(rowsOf);
  const table = ['| value | default | what |', '| --- | --- | --- |', ...rows].join('\n');
  return `${text.slice(0, end + mark.length)}\n\n${table}\n`;
}

function rowsOf(value: Value): string[] {
  if (value.children) return value.children.flatMap(rowsOf);
  const name = `\`${value.path.join('.')}\``;
  return [`| ${name} | ${shown(value.default)} | ${escaped(value.description)} |`];
}

function shown(value: unknown): string {
  return value === '' ? '' : `\`${escaped(JSON.stringify(value))}\``;
}

function escaped(text: string): string {
  return text.replaceAll('|', '\\|');
}
