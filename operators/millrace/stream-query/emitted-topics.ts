/**
 * The topics, by namespace, that its stream queries write, or may still write, and that no service declares. They were made for queries:
 * the service that runs these gets rights to them, and to no others that a query names.
 */
export class EmittedTopics {
  readonly #topics = new Map<string, ReadonlySet<string>>();
  readonly #listeners: ((namespace: string) => void)[] = [];

  /** @returns undefined until somebody has looked at the queries of the namespace */
  of(namespace: string): ReadonlySet<string> | undefined {
    return this.#topics.get(namespace);
  }

  set(namespace: string, topics: ReadonlySet<string>): void {
    const before = this.#topics.get(namespace);
    this.#topics.set(namespace, topics);
    if (before?.symmetricDifference(topics).size === 0) return;
    for (const tell of this.#listeners) tell(namespace);
  }

  /** Forgets everything: another process may have changed it meanwhile. */
  clear(): void {
    this.#topics.clear();
  }

  /** @param listener is told the namespaces whose topics change */
  onChange(listener: (namespace: string) => void): void {
    this.#listeners.push(listener);
  }
}
