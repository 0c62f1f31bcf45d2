/** The results of a bench. */
export interface Result {
  /** by their names in the last line; those within an object have its name as a prefix: `processes.orders` */
  figures: Map<string, number>;
  /** the booleans of the last line, such as `correct`, and whether the bench ended without an error */
  checks: Map<string, boolean>;
}

/**
 * Reads the last line of a bench.
 * @param output its whole output. Services may log JSON, too, so `figure` identifies the line.
 * @returns undefined if there is no such line
 */
export function readResult(output: string, figure: string, exitCode: number): Result | undefined {
  for (const line of output.trimEnd().split('\n').toReversed()) {
    const result: Result = { figures: new Map(), checks: new Map([['exit code 0', exitCode === 0]]) };
    collect(parse(line), '', result);
    if (result.figures.has(figure)) return result;
  }
  return undefined;
}

function parse(line: string): unknown {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function collect(value: unknown, name: string, { figures, checks }: Result): void {
  if (typeof value === 'number') figures.set(name, value);
  else if (typeof value === 'boolean') checks.set(name, value);
  else if (typeof value === 'object' && value !== null)
    for (const [key, inner] of Object.entries(value))
      collect(inner, name === '' ? key : `${name}.${key}`, { figures, checks });
}

/** Which direction of a figure is better, if its name tells. */
export function noteOf(name: string): string {
  if (name === 'barePerSecond' || name === 'othersCores') return 'the machine, not Millrace';
  if (name === 'ratio' || name.endsWith('PerSecond')) return 'more is better';
  if (/(Ms|Seconds|Mb|Megabytes)$|^(seconds|errors|processes\b|cpuMicrosPerOrder\b)/.test(name))
    return 'less is better';
  return '';
}
