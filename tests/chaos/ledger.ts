/** What a client knows after an answer: it was done, it was refused and not done, or nobody knows. */
export type Outcome = 'done' | 'refused' | 'unknown';

/**
 * The outcome of an answer: 503 and every 4xx say that nothing was done; 500, 502 and 504 leave it open, and so does a lost
 * connection (no status).
 */
export function outcomeOf(status: number | undefined): Outcome {
  if (status === undefined) return 'unknown';
  if (status < 300) return 'done';
  return status < 500 || status === 503 ? 'refused' : 'unknown';
}

interface Common {
  /** `Idempotency-Key`, with which the client repeats the request until it knows the outcome. */
  key?: string | undefined;
  /** Of each attempt, in their order. */
  outcomes: Outcome[];
}

/**
 * A request of the load. `mark` is a text that only this request has written; a change of an order is known by the version
 * that it makes, because only one client writes to an order.
 */
export type Request = Common &
  (
    | { kind: 'register' | 'rename' | 'place'; mark: string }
    | { kind: 'step'; orderId: string; version: number; status: string }
    | { kind: 'delete'; orderId: string; version: number }
  );

/** What the client knows after all attempts. */
export function finalOutcome({ outcomes }: Request): Outcome {
  if (outcomes.includes('done')) return 'done';
  return outcomes.includes('unknown') ? 'unknown' : 'refused';
}

/** How often a request may have taken effect. */
export function allowedEffects(request: Request): { least: number; most: number } {
  const of = (outcome: Outcome): number => request.outcomes.filter((one) => one === outcome).length;
  const least = Math.min(1, of('done'));
  return {
    least,
    most: request.key === undefined ? of('done') + of('unknown') : Math.min(1, of('done') + of('unknown')),
  };
}

/** Every request of the load, with what it was answered. */
export class Ledger {
  readonly requests: Request[] = [];

  /** Notes a request before its first attempt, so that one without an answer is known, too. */
  open<T extends Request>(request: T): T {
    this.requests.push(request);
    return request;
  }

  /** How many attempts were answered so. */
  attempts(outcome: Outcome): number {
    return this.requests.flatMap(({ outcomes }) => outcomes).filter((one) => one === outcome).length;
  }

  /** How many requests have that outcome in the end. */
  count(outcome: Outcome): number {
    return this.requests.filter((request) => finalOutcome(request) === outcome).length;
  }
}
