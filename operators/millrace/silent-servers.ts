import { messageOf } from '#platform/errors';
import { backoffMs } from '#platform/lifecycle';
import type { Clock } from '#runtime/clock.ts';
import { OperatorError } from './errors.ts';

/** The pauses in which nobody asks a server that does not answer: each attempt keeps one of the operator's workers busy. */
const pauses = { firstMs: 5_000, maxMs: 30_000 };

/** An attempt that nobody waits for any more ends within this time, in milliseconds: kafkajs asks three times, for 15 s each. */
const abandonedMs = 60_000;

/** How long one waits for the answers to others that have asked before, in milliseconds: each of them keeps a worker busy, too. */
const turnMs = 10_000;

interface Silence {
  failures: number;
  /** undefined while somebody asks */
  until: number | undefined;
  error: unknown;
}

/** How long one waits for an answer, in milliseconds, and whose it is. */
interface Limit {
  ms: number;
  whose: string;
  /** after which nothing is asked any more, though one has waited for the turn */
  signal?: AbortSignal;
}

/** A server has not answered in time. */
class ServerSilent extends OperatorError {
  constructor(whose: string, ms: number) {
    super('ERR_OPERATOR_SERVER_SILENT', `${whose} has not answered in ${ms} ms`);
  }
}

/** A server answers, but others so slowly that one's turn has not come in time: that is no silence. */
export class ServerBusy extends OperatorError {
  constructor(whose: string) {
    super(
      'ERR_OPERATOR_SERVER_SILENT',
      `${whose} answers slowly: this question has waited for its turn for ${turnMs} ms`,
    );
  }
}

/** What pg and kafkajs say where nothing answers. */
const silence = /(timeout expired|Connection timeout|Request \w+\(.*\) timed out)$/;
const silentCodes = new Set(['ERR_DATABASE_SILENT', 'ETIMEDOUT']);

/** Whether each further attempt takes as long: nothing answers. */
export function isSilence(error: unknown): boolean {
  const { code } = error as { code?: string };
  return error instanceof ServerSilent || silentCodes.has(code ?? '') || silence.test(messageOf(error));
}

/** Remembers which servers do not answer. One of these is asked by one worker at a time, and ever more seldom. */
export class SilentServers {
  readonly #clock: Clock;
  readonly #silent = new Map<string, Silence>();
  /** the end of the last question with a limit, by server */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  isSilent(address: string): boolean {
    return this.#silent.has(address);
  }

  /**
   * Does something with a server.
   * @param limit for work that has none itself. Such questions are asked one after the other, so that the wait for another one's answer
   * is no silence; after an answer that is late nobody asks until that attempt has ended
   * @throws what the work throws; for a silent server what it has thrown last, without another attempt; ServerBusy
   */
  async ask<T>(address: string, work: () => Promise<T>, limit?: Limit): Promise<T> {
    if (!limit) return await this.#ask(address, work, (answer) => answer);
    const { ms, whose, signal } = limit;
    const inTurn = () => {
      signal?.throwIfAborted();
      return work();
    };
    const ask = () => this.#ask(address, inTurn, (answer) => answerWithin(ms, whose, answer));
    const before = this.#turns.get(address) ?? Promise.resolve();
    const answer = within(turnMs, before, () => new ServerBusy(whose)).then(ask);
    // who has given up leaves the turns of the others in their order
    const turn = Promise.allSettled([before, answer]).then(() => {
      if (this.#turns.get(address) === turn) this.#turns.delete(address);
    });
    this.#turns.set(address, turn);
    return await answer;
  }

  async #ask<T>(address: string, work: () => Promise<T>, wait: (answer: Promise<T>) => Promise<T>): Promise<T> {
    const known = this.#silent.get(address);
    if (known) {
      if (known.until === undefined || this.#clock.now() < known.until) throw known.error;
      known.until = undefined;
    }
    const answer = Promise.resolve().then(work);
    try {
      const result = await wait(answer);
      this.#silent.delete(address);
      return result;
    } catch (error) {
      if (isSilence(error)) this.#remember(address, (known?.failures ?? 0) + 1, error, answer);
      else this.#silent.delete(address);
      throw error;
    }
  }

  #remember(address: string, failures: number, error: unknown, answer: Promise<unknown>): void {
    const pauseEnd = () => this.#clock.now() + backoffMs(failures, pauses);
    const entry = { failures, error, until: pauseEnd() };
    this.#silent.set(address, entry);
    if (!(error instanceof ServerSilent)) return;
    entry.until = this.#clock.now() + abandonedMs;
    void Promise.allSettled([answer]).then(() => (entry.until = pauseEnd()));
  }
}

/** Waits for an answer, for so many milliseconds. @throws an error that `isSilence`; the work goes on then, and nobody waits for it */
export async function answerWithin<T>(ms: number, whose: string, work: Promise<T>): Promise<T> {
  return await within(ms, work, () => new ServerSilent(whose, ms));
}

async function within<T>(ms: number, work: Promise<T>, errorOf: () => Error): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(errorOf()), ms);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
