import { keyOf } from '#runtime/objects.ts';
import { refusalOf } from '#streams/language';
import type { StreamQuery } from '../api/stream-query.ts';
import type { Topology } from './topology.ts';
import { validateQuery } from './validate.ts';
import type { ValidationResult } from './validate.ts';

interface Entry {
  uid: string | undefined;
  generation: number | undefined;
  /** what the result depends on of the services of the namespace */
  topology: string;
  validation: ValidationResult;
}

/** Validation results, each kept until the query, or what it reads of the topology of its namespace, changes. */
export class ValidationCache {
  readonly #entries = new Map<string, Entry>();

  validate(query: StreamQuery, topology: Topology): ValidationResult {
    const { uid, generation } = query.metadata;
    const known = this.#entries.get(keyOf(query));
    if (known && known.uid === uid && known.generation === generation) {
      if (known.topology === partFor(query, topology, known.validation)) return known.validation;
    }
    const validation = validateQuery(query, topology);
    const part = partFor(query, topology, validation);
    this.#entries.set(keyOf(query), { uid, generation, topology: part, validation });
    return validation;
  }

  forget(key: string): void {
    this.#entries.delete(key);
  }
}

/** A valid query depends on the topics that it names alone; what is wrong with another one may name any other topic. */
function partFor({ spec }: StreamQuery, { topics, consumed, hash }: Topology, { error }: ValidationResult): string {
  if (error !== undefined) return hash;
  const read = spec.from.map(({ topic }) => `${topics.known.has(topic)} ${consumed?.has(topic) ?? ''}`);
  return [...read, spec.emit && refusalOf(spec.emit.to, topics)].join();
}
