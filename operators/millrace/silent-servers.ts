import { messageOf } from '#platform/errors';
import { backoffMs } from '#platform/lifecycle';
import type { Clock } from '#runtime/clock.ts';
import { OperatorError } from './errors.ts';

/** The pauses in which nobody asks a server that does not answer: each attempt keeps one of the operator's workers busy. */
const pauses = { firstMs: 5_000, maxMs: 30_000 };

interface Silence {
  failures: number;
  /** undefined while somebody asks */
  until: number | undefined;
  error: unknown;
}

/** A server has not answered in time. */
class ServerSilent extends OperatorError {
  constructor(whose: string, ms: number) {
    super('ERR_OPERATOR_SERVER_SILENT', `${whose} has not answered in ${ms} ms`);
  }
}

/** What pg and kafkajs say where nothing answers. */
const silence = /(timeout expired|Query read timeout|Connection timeout|Request \w+\(.*\) timed out)$/;

/** Whether each further attempt takes as long: nothing answers. */
export function isSilence(error: unknown): boolean {
  const { code } = error as { code?: string };
  return error instanceof ServerSilent || code === 'ETIMEDOUT' || silence.test(messageOf(error));
}

/** Remembers which servers do not answer. One of these is asked by one worker at a time, and ever more seldom. */
export class SilentServers {
  readonly #clock: Clock;
  readonly #silent = new Map<string, Silence>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  isSilent(address: string): boolean {
    return this.#silent.has(address);
  }

  /** Does something with a server. @throws what it throws; for a silent server what it has thrown last, without another attempt */
  async ask<T>(address: string, work: () => Promise<T>): Promise<T> {
    const known = this.#silent.get(address);
    if (known) {
      if (known.until === undefined || this.#clock.now() < known.until) throw known.error;
      known.until = undefined;
    }
    try {
      const result = await work();
      this.#silent.delete(address);
      return result;
    } catch (error) {
      if (isSilence(error)) {
        const failures = (known?.failures ?? 0) + 1;
        this.#silent.set(address, { failures, until: this.#clock.now() + backoffMs(failures, pauses), error });
      } else this.#silent.delete(address);
      throw error;
    }
  }
}

/** Waits for an answer, for so many milliseconds. @throws an error that `isSilence`; the work goes on then, and nobody waits for it */
export async function answerWithin<T>(ms: number, whose: string, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new ServerSilent(whose, ms)), ms);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
