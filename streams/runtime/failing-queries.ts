import { StreamsError } from '#streams/errors';
import type { Logger } from '#platform/telemetry';
import type { Round } from '#streams/store';

/** how long the windows of a query may fail before health says so, in milliseconds */
const stuckMs = 15_000;

/**
 * The queries whose windows could not be emitted, or closed, in the last round. It tells the log of each once, and of its end, and
 * health of those that go on failing.
 */
export class FailingQueries {
  readonly #done: 'emitted' | 'closed';
  readonly #log: Logger;
  /** by the id of the version */
  #failing = new Map<number, { query: string; error: Error; since: number }>();

  /** @param done what is done with the windows */
  constructor(done: 'emitted' | 'closed', log: Logger) {
    this.#done = done;
    this.#log = log;
  }

  /** The ids of their versions. */
  get ids(): ReadonlySet<number> {
    return new Set(this.#failing.keys());
  }

  /** Notes what has become of a round. */
  note({ failures }: Round): void {
    const before = this.#failing;
    const done = this.#done;
    this.#failing = new Map(
      failures.map(({ plan, error }) => {
        const { name: query } = plan.query;
        const since = before.get(plan.id)?.since ?? performance.now();
        return [plan.id, { query, error, since }];
      }),
    );
    for (const [id, { query, error }] of this.#failing)
      if (!before.has(id)) this.#log.warn({ err: error, query }, `the windows of a query cannot be ${done}`);
    for (const [id, { query }] of before)
      if (!this.#failing.has(id)) this.#log.info({ query }, `the windows of a query can be ${done} again`);
  }

  /** @throws while the windows of a query have failed for 15 s */
  check(): void {
    const now = performance.now();
    const stuck = [...this.#failing.values()].filter(({ since }) => now - since >= stuckMs);
    if (stuck.length === 0) return;
    const reasons = stuck.map(
      ({ query, error, since }) => `those of ${query} for ${Math.round((now - since) / 1_000)} s: ${error.message}`,
    );
    throw new StreamsError('ERR_QUERY_WINDOWS_FAIL', `windows cannot be ${this.#done}: ${reasons.join('; ')}`, {
      cause: stuck[0]!.error,
    });
  }
}
