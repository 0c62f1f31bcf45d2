import { keyOf } from '#runtime/objects.ts';
import type { StreamQuery } from '../api/stream-query.ts';
import type { Topology } from './topology.ts';
import { validateQuery } from './validate.ts';
import type { ValidationResult } from './validate.ts';

interface Entry {
  uid: string | undefined;
  generation: number | undefined;
  topology: string;
  validation: ValidationResult;
}

/** Validation results, each kept until the query or the topology of its namespace changes. */
export class ValidationCache {
  readonly #entries = new Map<string, Entry>();

  validate(query: StreamQuery, topology: Topology): ValidationResult {
    const { uid, generation } = query.metadata;
    const known = this.#entries.get(keyOf(query));
    if (known?.uid === uid && known?.generation === generation && known?.topology === topology.hash) {
      return known.validation;
    }
    const validation = validateQuery(query, topology);
    this.#entries.set(keyOf(query), { uid, generation, topology: topology.hash, validation });
    return validation;
  }

  forget(key: string): void {
    this.#entries.delete(key);
  }
}
