import { basename } from 'node:path';
import { parseQuery } from './parse.ts';
import type { Fault } from './source-lines.ts';
import type { StreamQuery } from './stream-query.ts';

/** Query files that cannot be used; `faults` has everything that is wrong with all of them. */
export class QueryFilesError extends Error {
  override name = 'QueryFilesError';
  readonly faults: readonly Fault[];

  constructor(faults: readonly Fault[]) {
    const lines = faults.map(({ file, line, message }) => `  ${file}:${line}: ${message}`);
    super(
      `the stream queries have ${faults.length === 1 ? 'a mistake' : `${faults.length} mistakes`}:\n${lines.join('\n')}`,
    );
    this.faults = faults;
  }
}

/**
 * Reads every query file.
 * @param topics the declared topics, where they are known
 * @throws QueryFilesError that lists every mistake of every file with its line.
 */
export function loadQueries(
  files: readonly { file: string; text: string }[],
  topics?: ReadonlySet<string>,
): StreamQuery[] {
  const faults: Fault[] = [];
  const queries: StreamQuery[] = [];
  const names = new Map<string, string>();
  for (const { file, text } of files) {
    const parsed = parseQuery(file, text, topics);
    faults.push(...parsed.faults);
    if (parsed.query) queries.push(parsed.query);
    if (!parsed.name) continue;
    const { text: name, line } = parsed.name;
    const other = names.get(name);
    if (other === undefined) names.set(name, file);
    else faults.push({ file, line, message: `metadata.name: ${name} is the name of ${basename(other)} already` });
  }
  if (faults.length > 0) throw new QueryFilesError(faults);
  return queries;
}
