import { basename } from 'node:path';
import { StreamsError } from '#streams/errors';
import { parseQuery } from './parse.ts';
import type { Fault } from './source-lines.ts';
import type { StreamQuery } from './stream-query.ts';
import type { QueryTopics } from './topics.ts';

/** Thrown for query files with mistakes; `faults` has all mistakes of all files. */
export class QueryFilesError extends StreamsError {
  override name = 'QueryFilesError';
  readonly faults: readonly Fault[];

  constructor(faults: readonly Fault[]) {
    const lines = faults.map(({ file, line, message }) => `  ${file}:${line}: ${message}`);
    super(
      'ERR_QUERY_FILES',
      `the stream queries have ${faults.length === 1 ? 'a mistake' : `${faults.length} mistakes`}:\n${lines.join('\n')}`,
    );
    this.faults = faults;
  }
}

/** A mistake in a file, and the name of its query if it can be read. */
export type QueryFault = Fault & { query: string | undefined };

/** The queries of a folder, and the mistakes in its files. */
export interface LoadedQueries {
  /** without the queries whose file has a mistake */
  declared: StreamQuery[];
  faults: QueryFault[];
}

/**
 * Reads query files independently: a mistake in one does not affect the others. If two files have the same name, neither is
 * used.
 * @param topics those of the services, if they have to be checked
 * @param consumed the topics that the service reads, if they have to be checked
 */
export function readQueries(
  files: readonly { file: string; text: string }[],
  topics?: QueryTopics,
  consumed?: ReadonlySet<string>,
): LoadedQueries {
  const faults: QueryFault[] = [];
  const queries: StreamQuery[] = [];
  const names = new Map<string, string>();
  for (const { file, text } of files) {
    const { query, name, faults: own } = parseQuery(file, text, topics);
    faults.push(...own.map((fault) => ({ ...fault, query: name?.text })));
    if (!name) continue;
    const say = (message: string) => faults.push({ file, line: name.line, message, query: name.text });
    const other = names.get(name.text);
    if (other === undefined) names.set(name.text, file);
    else say(`metadata.name: ${name.text} is the name of ${basename(other)} already`);
    if (!query) continue;
    queries.push(query);
    const unread = query.from.filter(({ topic }) => consumed && !consumed.has(topic));
    for (const { topic } of unread) say(`spec.from: the service does not consume ${topic}`);
  }
  const faulty = new Set(faults.map(({ query }) => query));
  return { declared: queries.filter(({ name }) => !faulty.has(name)), faults };
}

/**
 * Reads every query file.
 * @param topics those of the services, if they have to be checked
 * @throws QueryFilesError with every mistake of every file and its line
 */
export function loadQueries(files: readonly { file: string; text: string }[], topics?: QueryTopics): StreamQuery[] {
  const { declared, faults } = readQueries(files, topics);
  if (faults.length > 0) throw new QueryFilesError(faults.map(({ file, line, message }) => ({ file, line, message })));
  return declared;
}
