import { isDeepStrictEqual } from 'node:util';
import { request } from 'undici';
import { OperatorError } from '../../errors.ts';
import type { StreamStatus } from '#contracts/analytics.ts';
import type { EventService } from '../api/event-service.ts';

const answerMs = 5_000;

/** Asks the service that runs the queries how each of them is doing. */
export type AskAnalytics = (runner: EventService, signal: AbortSignal) => Promise<StreamStatus[]>;

/** @param urlOf where a service is reached */
export function askAnalytics(urlOf: (service: EventService) => string): AskAnalytics {
  return async (runner, signal) => {
    const { statusCode, body } = await request(`${urlOf(runner)}/analytics/streams/status`, {
      signal,
      headersTimeout: answerMs,
      bodyTimeout: answerMs,
    });
    if (statusCode !== 200) {
      await body.dump();
      throw new OperatorError('ERR_OPERATOR_QUERIES_UNANSWERED', `${runner.metadata.name} answers ${statusCode}`);
    }
    return (await body.json()) as StreamStatus[];
  };
}

/** What the services have said of their queries last, by namespace. */
export class QueryReports {
  readonly #reports = new Map<string, { byQuery: Map<string, StreamStatus>; failures: number }>();

  of(namespace: string, query: string): StreamStatus | undefined {
    return this.#reports.get(namespace)?.byQuery.get(query);
  }

  /** Whether the service answers: a single failure does not count. */
  isReachable(namespace: string): boolean {
    const known = this.#reports.get(namespace);
    return known !== undefined && known.failures < 3;
  }

  /** @returns the queries that another thing is said of than before */
  heard(namespace: string, statuses: readonly StreamStatus[]): string[] {
    const before = this.#reports.get(namespace);
    const byQuery = new Map(statuses.map((status) => [status.query, status]));
    this.#reports.set(namespace, { byQuery, failures: 0 });
    const names = new Set([...byQuery.keys(), ...(before?.byQuery.keys() ?? [])]);
    const all = before === undefined || before.failures >= 3;
    return [...names].filter((name) => all || differs(before.byQuery.get(name), byQuery.get(name)));
  }

  /** @returns whether that changed whether it is reachable */
  failed(namespace: string): boolean {
    const known = this.#reports.get(namespace) ?? { byQuery: new Map<string, StreamStatus>(), failures: 2 };
    known.failures += 1;
    this.#reports.set(namespace, known);
    return known.failures === 3;
  }

  forget(namespace: string): void {
    this.#reports.delete(namespace);
  }
}

/** The watermark alone is no difference: it goes on with the wall clock. */
function differs(before: StreamStatus | undefined, now: StreamStatus | undefined): boolean {
  const told = (status: StreamStatus | undefined) => status && { ...status, watermark: null };
  return !isDeepStrictEqual(told(before), told(now));
}
