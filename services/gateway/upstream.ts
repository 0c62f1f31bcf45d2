import { Pool } from 'undici';
import { CircuitBreaker, unavailable } from '#platform/http';
import type { BreakerOptions, CallOutcome, Problem } from '#platform/http';
import { countRefused } from './metrics.ts';
import { RetryBudget } from './retry.ts';

export interface UpstreamLimits {
  /** calls in flight, each on its own connection; the next one is refused at once */
  maxInFlight?: number;
  /** concurrent event streams; they do not count as calls in flight */
  maxStreams?: number;
  /** from the end of the request to the head of its answer */
  headersTimeoutMs?: number;
  /** between two parts of an answer's body; event streams have none */
  bodyTimeoutMs?: number;
  breaker?: BreakerOptions;
}

/** Shorter than SHUTDOWN_DELAY_MS: idle connections end before a terminating service closes them under a new call. */
export const idleMs = 4_000;
const connectTimeoutMs = 1_000;

const defaults = {
  maxInFlight: 256,
  maxStreams: 1_000,
  headersTimeoutMs: 5_000,
  bodyTimeoutMs: 15_000,
};

/** The permit for a call to an upstream, until `release`; `settled` once the breaker knows the outcome of the call. */
export interface Permit {
  readonly generation: number;
  readonly streams: boolean;
  settled: boolean;
}

/** One service behind the gateway: its connections, permits and circuit breaker. */
export class Upstream {
  readonly name: string;
  readonly origin: string;
  readonly host: string;
  readonly port: number;
  readonly headersTimeoutMs: number;
  readonly calls: Pool;
  readonly streams: Pool;
  readonly breaker: CircuitBreaker;
  readonly retries = new RetryBudget();
  #inFlight = 0;
  #openStreams = 0;
  readonly #maxInFlight: number;
  readonly #maxStreams: number;

  constructor(name: string, url: string, limits: UpstreamLimits = {}) {
    const { maxInFlight, maxStreams, headersTimeoutMs, bodyTimeoutMs } = { ...defaults, ...limits };
    this.name = name;
    const address = new URL(url);
    this.origin = address.origin;
    this.host = address.hostname;
    this.port = Number(address.port) || (address.protocol === 'https:' ? 443 : 80);
    this.headersTimeoutMs = headersTimeoutMs;
    this.#maxInFlight = maxInFlight;
    this.#maxStreams = maxStreams;
    this.breaker = new CircuitBreaker(limits.breaker);
    const common = {
      connect: { timeout: connectTimeoutMs },
      headersTimeout: headersTimeoutMs,
      allowH2: false,
      keepAliveMaxTimeout: idleMs,
    };
    // as many connections as permits: a call with a permit never waits for another call
    this.calls = new Pool(this.origin, { ...common, connections: maxInFlight, bodyTimeout: bodyTimeoutMs });
    this.streams = new Pool(this.origin, { ...common, connections: maxStreams, bodyTimeout: 0 });
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get openStreams(): number {
    return this.#openStreams;
  }

  /** Acquires a permit, or returns the problem, so that no request waits for a permit. */
  acquire(streams: boolean): Permit | Problem {
    if (streams ? this.#openStreams >= this.#maxStreams : this.#inFlight >= this.#maxInFlight) {
      countRefused(this.name, 'shed');
      return unavailable(`The ${this.name} service is busy`, 1);
    }
    const generation = this.breaker.admit();
    if (generation === undefined) {
      countRefused(this.name, 'open');
      return this.down();
    }
    if (streams) this.#openStreams += 1;
    else this.#inFlight += 1;
    return { generation, streams, settled: false };
  }

  /** Tells the breaker the outcome of the call; only the first one counts. */
  settle(permit: Permit, outcome: CallOutcome): void {
    if (permit.settled) return;
    permit.settled = true;
    this.breaker.settle(permit.generation, outcome);
  }

  /** Releases the permit. */
  release(permit: Permit, outcome: CallOutcome): void {
    this.settle(permit, outcome);
    if (permit.streams) this.#openStreams -= 1;
    else this.#inFlight -= 1;
  }

  /** The problem while the service cannot be reached. */
  down(cause?: unknown): Problem {
    const seconds = Math.ceil(this.breaker.retryAfterMs() / 1000);
    return unavailable(`The ${this.name} service cannot be reached`, seconds, cause);
  }

  /** Waits for the calls in flight and closes the connections. */
  async close(): Promise<void> {
    await Promise.all([this.calls.close(), this.streams.destroy()]);
  }
}
