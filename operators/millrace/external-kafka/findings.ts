import type { Clock } from '#runtime/clock.ts';
import { hash } from '#runtime/compare.ts';
import { failed } from './outcome.ts';
import type { Outcome } from './outcome.ts';
import { KafkaProblem } from './problem.ts';

/** How often what is right is checked, in milliseconds, and what is not. */
export const recheckMs = 30_000;
const retryMs = 5_000;

/** What is found, and which topics are still to be looked at, with the problems of those before. */
export interface Found {
  outcome: Outcome;
  rest?: { next: number; problems: readonly KafkaProblem[] } | undefined;
}

/** Remembers what was found in Kafka last, so that it is not asked at each reconcile. */
export class Findings {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #found = new Map<string, Found & { hash: string; at: number }>();

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** What was found a short time ago for the same, or what is found now. @param find is told what was found last for the same */
  async remember(key: string, asked: unknown, find: (last: Found | undefined) => Promise<Found>): Promise<Outcome> {
    const wanted = hash(asked);
    const known = this.#found.get(key);
    const last = known?.hash === wanted ? known : undefined;
    const freshMs = last?.outcome.status === 'True' ? recheckMs : retryMs;
    if (last && this.#clock.now() - last.at < freshMs) return last.outcome;
    const found = await find(last).catch((error: unknown) => {
      if (error instanceof KafkaProblem) return { outcome: failed(error) };
      throw error;
    });
    this.#found.set(key, { ...found, hash: wanted, at: this.#clock.now() });
    return found.outcome;
  }

  forget(key: string): void {
    this.#found.delete(key);
  }
}
