import { stringify } from 'yaml';
import { parseQuery } from '#streams/language';
import { apiVersion } from '../api/common.ts';
import { unquotedOn } from '../api/stream-query.ts';
import type { StreamQuery } from '../api/stream-query.ts';

/** What the namespace of a query has. */
export interface Surroundings {
  /** topics that services declare */
  topics: ReadonlySet<string>;
  /** topics that the service reads that runs the queries; undefined where there is none */
  consumed: ReadonlySet<string> | undefined;
}

export type Verdict = { text: string; fault: undefined } | { text: undefined; fault: string };

/** A query as analytics reads it: the file that says the same as the resource. */
export function queryText({ metadata, spec }: Pick<StreamQuery, 'metadata' | 'spec'>): string {
  const { [unquotedOn]: on, ...emit } = spec.emit ?? {};
  const emission = spec.emit ? { emit: on === undefined ? emit : { ...emit, on } } : {};
  const file = { apiVersion, kind: 'StreamQuery', metadata: { name: metadata.name }, spec: { ...spec, ...emission } };
  return stringify(file, { lineWidth: 0 });
}

/** Checks a query with the parser of analytics itself. A fault names the lines, and what stands there. */
export function checkQuery(query: Pick<StreamQuery, 'metadata' | 'spec'>, { topics, consumed }: Surroundings): Verdict {
  const text = queryText(query);
  const { emit, from } = query.spec;
  const emitted = emit ? [emit.to] : []; // a topic that nobody declares is made for the query
  const { query: parsed, faults } = parseQuery(query.metadata.name, text, new Set([...topics, ...emitted]));
  if (!parsed) {
    const lines = text.split('\n');
    const told = faults.map(({ line, message }) => `line ${line} (${lines[line - 1]?.trim() ?? ''}): ${message}`);
    return { text: undefined, fault: told.join('; ') };
  }
  const deaf = from.map(({ topic }) => topic).filter((topic) => consumed && !consumed.has(topic));
  if (deaf.length === 0) return { text, fault: undefined };
  return { text: undefined, fault: `the service that runs stream queries does not consume ${deaf.join(', ')}` };
}
