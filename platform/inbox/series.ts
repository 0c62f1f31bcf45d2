import type { Logger } from '#platform/telemetry';
import type { Failure } from './item.ts';

/** Errors of the data and of its size, for which PostgreSQL needs the same data again to fail in the same way. */
const ofData = /^(22|23|54)[0-9A-Z]{3}$/;

/**
 * The messages that a round of a writer gives up. By SQLSTATE: how many were given up after one attempt, because one
 * before them had all of its attempts.
 */
export class Series {
  readonly #group: string;
  readonly #log: Logger;
  readonly #others = new Map<string, number>();

  constructor({ group, log }: { group: string; log: Logger }) {
    this.#group = group;
    this.#log = log;
  }

  /** Whether a message has had all of its attempts, and failed for the same error of the data. */
  has({ code = '' }: Failure): boolean {
    return this.#others.has(code);
  }

  /** Logs the first message that is given up for an error of the data, and counts the others. */
  note({ code = '' }: Failure, details: object): void {
    const others = this.#others.get(code);
    if (others !== undefined) this.#others.set(code, others + 1);
    else {
      if (ofData.test(code)) this.#others.set(code, 0);
      this.#log.error(details, 'the inbox gave up a message, which becomes a dead letter');
    }
  }

  end(): void {
    const group = this.#group;
    for (const [code, messages] of this.#others)
      if (messages > 0)
        this.#log.error({ group, code, messages }, 'the inbox gave up more messages for errors of the same code');
    this.#others.clear();
  }
}
