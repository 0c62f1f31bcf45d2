import type { Clock } from '#runtime/clock.ts';

/** How long a service may go on with a file that no ConfigMap has any more, in milliseconds: a kubelet brings a change within that time. */
const leavingMs = 2 * 60_000;

/**
 * The topics, by namespace, that no file emits to any more, while the service that runs the queries may not have heard of it: without its
 * right, what it emits until then would fail.
 */
export class LeavingTopics {
  readonly #clock: Pick<Clock, 'now'>;
  /** until when each topic is one; undefined while a file in a ConfigMap may still emit to it */
  readonly #ends = new Map<string, Map<string, number | undefined>>();

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /**
   * @param before the topics that the service has had the right to
   * @param emitted those that files emit to now
   * @param mayStay whether a topic is nobody else's by now
   * @returns those that the service keeps its right to for a while
   */
  among(
    namespace: string,
    before: ReadonlySet<string>,
    emitted: ReadonlySet<string>,
    mayStay: (topic: string) => boolean,
  ): string[] {
    const known = this.#ends.get(namespace);
    const now = this.#clock.now();
    const isLeaving = (topic: string) => !emitted.has(topic) && mayStay(topic) && (known?.get(topic) ?? Infinity) > now;
    const ends = new Map([...before].filter(isLeaving).map((topic) => [topic, known?.get(topic)] as const));
    this.#ends.set(namespace, ends);
    return [...ends.keys()];
  }

  /** Forgets everything: another process may have changed it meanwhile. */
  clear(): void {
    this.#ends.clear();
  }

  /** The ConfigMaps are written. @returns after how many milliseconds the first topic has left; undefined where none leaves */
  written(namespace: string): number | undefined {
    const ends = this.#ends.get(namespace) ?? new Map<string, number | undefined>();
    const now = this.#clock.now();
    for (const [topic, end] of ends) ends.set(topic, end ?? now + leavingMs);
    const pauses = [...ends.values()].map((end) => (end ?? now) - now).filter((pause) => pause > 0);
    return pauses.length === 0 ? undefined : Math.min(...pauses);
  }
}
