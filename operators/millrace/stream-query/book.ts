import { hash } from '#runtime/compare.ts';
import { keyOf } from '#runtime/objects.ts';
import { deadLetterTopic, parseDuration } from '#platform/declarations';
import type { Topic } from '#platform/declarations';
import type { EventService } from '../api/event-service.ts';
import type { StreamQuery } from '../api/stream-query.ts';
import { validateQuery } from './validate.ts';
import type { Surroundings, ValidationResult } from './validate.ts';

/** A topic of a query that no service declares. */
export const emittedTopic = (name: string): Topic => ({ name, partitions: 6, retentionMs: parseDuration('7d') });

export interface NamespaceSurroundings extends Surroundings {
  /** the service that runs the queries */
  runner: EventService | undefined;
  /** another one where the topics are others */
  id: string;
}

/** What the services of a namespace mean for its queries. */
export function surroundingsOf(services: readonly EventService[]): NamespaceSurroundings {
  const topics = services.flatMap(({ spec }) => [
    ...(spec.produces ?? []).map(({ topic }) => topic),
    ...(spec.consumes ?? []).map(({ group }) => deadLetterTopic(group)),
  ]);
  const [runner] = services
    .filter(({ spec }) => spec.streamQueries === true)
    .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  const consumed = runner && new Set((runner.spec.consumes ?? []).flatMap((group) => group.topics));
  return { topics: new Set(topics), consumed, runner, id: hash([topics, consumed && [...consumed]]) };
}

/** The topics that a namespace's queries emit to and that no service declares, by the name of the first query of each. */
export function undeclaredTopics(queries: readonly StreamQuery[], topics: ReadonlySet<string>): Map<string, string> {
  const sorted = queries.toSorted((a, b) => (a.metadata.name < b.metadata.name ? 1 : -1));
  const emitted = sorted.flatMap(({ spec, metadata }) => (spec.emit ? [[spec.emit.to, metadata.name] as const] : []));
  return new Map(emitted.filter(([topic]) => !topics.has(topic)));
}

interface Entry {
  uid: string | undefined;
  generation: number | undefined;
  surroundings: string;
  validation: ValidationResult;
}

/** Results on queries, remembered for as long as neither the query nor what is around it changes. */
export class QueryBook {
  readonly #entries = new Map<string, Entry>();

  check(query: StreamQuery, surroundings: NamespaceSurroundings): ValidationResult {
    const { uid, generation } = query.metadata;
    const known = this.#entries.get(keyOf(query));
    if (known?.uid === uid && known?.generation === generation && known?.surroundings === surroundings.id) {
      return known.validation;
    }
    const validation = validateQuery(query, surroundings);
    this.#entries.set(keyOf(query), { uid, generation, surroundings: surroundings.id, validation });
    return validation;
  }

  forget(key: string): void {
    this.#entries.delete(key);
  }
}
