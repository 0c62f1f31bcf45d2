import { isDeepStrictEqual } from 'node:util';
import { request } from 'undici';
import { OperatorError } from '../errors.ts';
import { streamOperations } from '#streams/contract';
import type { StreamStatus } from '#streams/contract';
import type { EventService } from '../api/event-service.ts';

const timeoutMs = 5_000;

/** Fetches the status of each query from the service that runs the queries. */
export type FetchQueryStatuses = (runner: EventService, signal: AbortSignal) => Promise<StreamStatus[]>;

/** @param urlOf the base URL of a service */
export function queryStatusClient(urlOf: (service: EventService) => string): FetchQueryStatuses {
  return async (runner, signal) => {
    const { statusCode, body } = await request(`${urlOf(runner)}${streamOperations.getStreamsStatus.path}`, {
      signal,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
    });
    if (statusCode !== 200) {
      await body.dump();
      throw new OperatorError('ERR_OPERATOR_QUERIES_UNANSWERED', `${runner.metadata.name} answers ${statusCode}`);
    }
    return (await body.json()) as StreamStatus[];
  };
}

/** After that many failures in a row a service counts as unreachable. */
const maxFailures = 3;

/** The status of each query at the last successful fetch, by namespace. */
export class QueryStatusCache {
  readonly #namespaces = new Map<string, { byQuery: Map<string, StreamStatus>; failures: number }>();

  get(namespace: string, query: string): StreamStatus | undefined {
    return this.#namespaces.get(namespace)?.byQuery.get(query);
  }

  isReachable(namespace: string): boolean {
    const known = this.#namespaces.get(namespace);
    return known !== undefined && known.failures < maxFailures;
  }

  /** @returns the queries whose status has changed */
  set(namespace: string, statuses: readonly StreamStatus[]): string[] {
    const before = this.#namespaces.get(namespace);
    const byQuery = new Map(statuses.map((status) => [status.query, status]));
    this.#namespaces.set(namespace, { byQuery, failures: 0 });
    const names = new Set([...byQuery.keys(), ...(before?.byQuery.keys() ?? [])]);
    const all = before === undefined || before.failures >= maxFailures;
    return [...names].filter((name) => all || differs(before.byQuery.get(name), byQuery.get(name)));
  }

  /** @returns whether the service has become unreachable */
  recordFailure(namespace: string): boolean {
    const none = { byQuery: new Map<string, StreamStatus>(), failures: maxFailures - 1 };
    const known = this.#namespaces.get(namespace) ?? none;
    known.failures += 1;
    this.#namespaces.set(namespace, known);
    return known.failures === maxFailures;
  }

  delete(namespace: string): void {
    this.#namespaces.delete(namespace);
  }
}

/** A change of the watermark alone does not count: it moves with the wall clock. */
function differs(before: StreamStatus | undefined, after: StreamStatus | undefined): boolean {
  const compared = (status: StreamStatus | undefined) => status && { ...status, watermark: null };
  return !isDeepStrictEqual(compared(before), compared(after));
}
