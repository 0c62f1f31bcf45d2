/**
 * Splits a script into its statements, as PostgreSQL would: a semicolon inside quotes, dollar quotes, comments or a
 * `BEGIN ATOMIC` body does not end one, the last of which scripts here do not use.
 * @returns each statement without comments before it, and the line (from 1) on which it begins
 */
export function splitStatements(script: string): { text: string; line: number }[] {
  const statements: { text: string; line: number }[] = [];
  let start = -1;
  let position = 0;
  while (position < script.length) {
    const token = tokenAt(script, position);
    if (token.kind === 'code' && start < 0) start = position;
    position += token.length;
    if (token.kind === 'end' && start >= 0) {
      statements.push(statement(script, start, position - 1));
      start = -1;
    }
  }
  if (start >= 0) statements.push(statement(script, start, script.length));
  return statements;
}

function statement(script: string, start: number, end: number): { text: string; line: number } {
  return { text: script.slice(start, end).trim(), line: script.slice(0, start).split('\n').length };
}

const QUOTED = /'(?:[^']|'')*'?|"(?:[^"]|"")*"?|\$([A-Za-z_]\w*)?\$/y;

function tokenAt(script: string, position: number): { kind: 'code' | 'space' | 'end'; length: number } {
  const character = script[position] as string;
  if (character === ';') return { kind: 'end', length: 1 };
  if (/\s/.test(character)) return { kind: 'space', length: 1 };
  if (script.startsWith('--', position)) return { kind: 'space', length: until(script, '\n', position) };
  if (script.startsWith('/*', position)) return { kind: 'space', length: until(script, '*/', position) };
  QUOTED.lastIndex = position;
  const quoted = QUOTED.exec(script)?.[0];
  if (quoted === undefined) return { kind: 'code', length: 1 };
  const length = quoted.startsWith('$')
    ? until(script, quoted, position + quoted.length) + quoted.length
    : quoted.length;
  return { kind: 'code', length };
}

function until(script: string, mark: string, position: number): number {
  const found = script.indexOf(mark, position);
  return (found < 0 ? script.length : found + mark.length) - position;
}
