import { stringify } from 'yaml';
import { isTopicName } from '#platform/kafka';
import { parseQuery, refusalOf } from '#streams/language';
import { unquotedOn } from '../api/stream-query.ts';
import type { StreamQuery } from '../api/stream-query.ts';
import type { Topology } from './topology.ts';

/**
 * The file of a valid query, or what is wrong with it: a mistake in the query itself, a topic that it may not emit to, or one that
 * no service of the namespace has declared yet.
 */
export type ValidationResult =
  | { text: string; error: undefined }
  | { text: undefined; error: string; reason: 'Invalid' | 'TopicNotDeclared' | 'TopicTaken' };

/** The version in the files of queries: the deprecated one, which the analytics of a chart that is older than the operator reads, too. */
const apiVersion = 'millrace.dev/v1alpha1';

/** The file of a query, as analytics reads it. */
export function queryText({ metadata, spec }: Pick<StreamQuery, 'metadata' | 'spec'>): string {
  const { [unquotedOn]: on, ...emit } = spec.emit ?? {};
  const emission = spec.emit ? { emit: on === undefined ? emit : { ...emit, on } } : {};
  const file = { apiVersion, kind: 'StreamQuery', metadata: { name: metadata.name }, spec: { ...spec, ...emission } };
  return stringify(file, { lineWidth: 0 });
}

/** Validates a query with the parser that analytics uses. The error names each line, and quotes it. */
export function validateQuery(
  query: Pick<StreamQuery, 'metadata' | 'spec'>,
  { topics, consumed }: Topology,
): ValidationResult {
  const text = queryText(query);
  const { emit, from } = query.spec;
  // the operator creates a topic that no service declares
  const known = emit ? new Set([...topics.known, emit.to]) : topics.known;
  const { query: parsed, faults: errors } = parseQuery(query.metadata.name, text, { ...topics, known });
  if (!parsed) {
    const lines = text.split('\n');
    const messages = errors.map(({ line, message }) => `line ${line} (${lines[line - 1]?.trim() ?? ''}): ${message}`);
    const isMistaken = parseQuery(query.metadata.name, text).query === undefined;
    const isTaken = emit !== undefined && refusalOf(emit.to, topics) !== undefined;
    const reason = isMistaken ? 'Invalid' : isTaken ? 'TopicTaken' : 'TopicNotDeclared';
    return { text: undefined, error: messages.join('; '), reason };
  }
  if (emit && !isTopicName(emit.to)) {
    const message = `${emit.to} is no name of a topic: it has letters, digits, ., _ and - alone, and is neither . nor ..`;
    return { text: undefined, error: `spec.emit.to: ${message}`, reason: 'Invalid' };
  }
  const unread = from.map(({ topic }) => topic).filter((topic) => consumed && !consumed.has(topic));
  if (unread.length === 0) return { text, error: undefined };
  const error = `the service that runs stream queries does not consume ${unread.join(', ')}`;
  return { text: undefined, error, reason: 'TopicNotDeclared' };
}
