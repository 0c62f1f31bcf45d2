import { equal } from '#runtime/compare.ts';
import type { ExternalKafkaSpec } from '../external-kafka/connection.ts';

/** The topics of a namespace, and the Kafka that they are in; undefined where that is Strimzi's. */
interface Told {
  topics: ReadonlySet<string>;
  external: ExternalKafkaSpec | undefined;
}

/**
 * The topics, by namespace, that its stream queries write, or may still write, and that no service declares. They were made for queries:
 * the service that runs these gets rights to them, and to no others that a query names.
 */
export class EmittedTopics {
  readonly #told = new Map<string, Told>();
  readonly #listeners: ((namespace: string) => void)[] = [];

  /**
   * @param external the Kafka that they are to be in: in another one they may be somebody else's
   * @returns undefined until somebody has looked at the queries of the namespace, and for this Kafka
   */
  of(namespace: string, external?: ExternalKafkaSpec): ReadonlySet<string> | undefined {
    const told = this.#told.get(namespace);
    return told && equal(told.external, external) ? told.topics : undefined;
  }

  set(namespace: string, topics: ReadonlySet<string>, external?: ExternalKafkaSpec): void {
    const before = this.of(namespace, external);
    this.#told.set(namespace, { topics, external });
    if (before?.symmetricDifference(topics).size === 0) return;
    for (const tell of this.#listeners) tell(namespace);
  }

  /** Forgets everything: another process may have changed it meanwhile. */
  clear(): void {
    this.#told.clear();
  }

  /** @param listener is told the namespaces whose topics change */
  onChange(listener: (namespace: string) => void): void {
    this.#listeners.push(listener);
  }
}
