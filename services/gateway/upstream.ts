import { Pool } from 'undici';
import { CircuitBreaker, unavailable } from '#platform/http';
import type { BreakerOptions, CallOutcome, Problem } from '#platform/http';
import { countRefused } from './metrics.ts';
import { RetryBudget } from './retry.ts';

export interface UpstreamLimits {
  /** calls in flight, each on a connection of its own; the next one is refused at once */
  maxInFlight?: number;
  /** event streams open at a time; they do not count as calls in flight */
  maxStreams?: number;
  /** from the end of the request to the head of its answer */
  headersTimeoutMs?: number;
  /** between two parts of an answer's body; event streams have none */
  bodyTimeoutMs?: number;
  breaker?: BreakerOptions;
}

/** Idle connections end sooner than a service that is to go ends them (SHUTDOWN_DELAY_MS): no call crosses with that. */
const idleMs = 4_000;
const connectTimeoutMs = 1_000;

const defaults = {
  maxInFlight: 256,
  maxStreams: 1_000,
  headersTimeoutMs: 5_000,
  bodyTimeoutMs: 15_000,
};

/** A place among the calls to an upstream, given back by `leave`; `settled` once the breaker knows how the call went. */
export interface Place {
  readonly permit: number;
  readonly streams: boolean;
  settled: boolean;
}

/** One service behind the gateway: its connections, how much of it may be used at a time, and whether it is well. */
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
    // as many connections as places: a call that was let in never waits for another's answer
    this.calls = new Pool(this.origin, { ...common, connections: maxInFlight, bodyTimeout: bodyTimeoutMs });
    this.streams = new Pool(this.origin, { ...common, connections: maxStreams, bodyTimeout: 0 });
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get openStreams(): number {
    return this.#openStreams;
  }

  /** Takes a place, or says why there is none: the answer must not wait for one. */
  enter(streams: boolean): Place | Problem {
    if (streams ? this.#openStreams >= this.#maxStreams : this.#inFlight >= this.#maxInFlight) {
      countRefused(this.name, 'shed');
      return unavailable(`The ${this.name} service is busy`, 1);
    }
    const permit = this.breaker.admit();
    if (permit === undefined) {
      countRefused(this.name, 'open');
      return this.down();
    }
    if (streams) this.#openStreams += 1;
    else this.#inFlight += 1;
    return { permit, streams, settled: false };
  }

  /** Tells the breaker how the call went, once: the first word counts. */
  settle(place: Place, outcome: CallOutcome): void {
    if (place.settled) return;
    place.settled = true;
    this.breaker.settle(place.permit, outcome);
  }

  /** Gives the place back. */
  leave(place: Place, outcome: CallOutcome): void {
    this.settle(place, outcome);
    if (place.streams) this.#openStreams -= 1;
    else this.#inFlight -= 1;
  }

  /** The answer while the service cannot be reached. */
  down(cause?: unknown): Problem {
    const seconds = Math.ceil(this.breaker.retryAfterMs() / 1000);
    return unavailable(`The ${this.name} service cannot be reached`, seconds, cause);
  }

  /** Waits for the calls in flight and closes the connections. */
  async close(): Promise<void> {
    await Promise.all([this.calls.close(), this.streams.destroy()]);
  }
}
