import { messageOf } from '#platform/errors';
import { Repeats } from '#platform/telemetry';
import type { Logger } from '#platform/telemetry';
import type { Problem } from './problem.ts';

/** how many errors of a chain of causes are told */
const maxCauses = 5;

/**
 * Logs the problems that are none of the client's. Each 500 is a fault of the code, and is logged with its stack. The others mean that
 * something else is away, and every request of that time has one: the same is logged once in 30 s with its reason, and then counted.
 */
export class ProblemLog {
  readonly #log: Logger;
  readonly #repeats = new Repeats();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** @param fields what the line says of the request */
  write(problem: Problem, fields: Record<string, unknown>): void {
    const { status, message, cause } = problem;
    if (status < 500) return;
    if (status === 500) {
      this.#log.error({ ...fields, err: cause ?? problem }, message);
      return;
    }
    const causes = causesOf(cause);
    const code = causes.map(codeOf).find(Boolean);
    const reason = causes.map((one) => messageOf(one) || codeOf(one)).join(': ') || undefined;
    // numbers are those of ports, bytes and milliseconds
    const news = this.#repeats.note(`${message} ${code} ${reason}`.replaceAll(/\d+/g, '0'));
    if (news) this.#log.warn({ ...fields, code, reason, ...news }, message);
  }
}

function causesOf(error: unknown): Error[] {
  const causes: Error[] = [];
  for (let one = error; one instanceof Error && causes.length < maxCauses; one = one.cause) causes.push(one);
  return causes;
}

function codeOf(error: Error): string | undefined {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : undefined;
}
