/** What became of an admitted call. `abandoned` says nothing about the upstream: the caller left before an answer. */
export type CallOutcome = 'success' | 'failure' | 'abandoned';

/**
 * `closed`: calls pass and failures are counted. `open`: nothing passes until the pause is over.
 * `half-open`: one probe at a time passes; its outcome decides.
 */
export type BreakerState = 'closed' | 'open' | 'half-open';

export interface BreakerOptions {
  /**
   * failures that open the circuit: so many in a row (a service that is gone), or within `windowMs` if they are at least
   * half of the calls that ended in it (one that is ill)
   */
  failures?: number;
  windowMs?: number;
  /** first pause, doubled with each failed probe up to `maxPauseMs` */
  pauseMs?: number;
  maxPauseMs?: number;
  /** milliseconds of a monotonic clock */
  now?: () => number;
  onChange?: (state: BreakerState) => void;
}

const slots = 10;

/**
 * A circuit breaker as a plain state machine, without promises and timers. The breakers of the libraries wrap a promise, which
 * does not suit calls that stream. Here the head of a response settles a call while its body is still being sent. A caller
 * that disconnects counts neither as a success nor as a failure. The outcome of a call from before a change of state is ignored.
 *
 * @example
 * const generation = breaker.admit();
 * if (generation === undefined) refuse(breaker.retryAfterMs());
 * else call((outcome) => breaker.settle(generation, outcome));
 */
export class CircuitBreaker {
  readonly #failures: number;
  readonly #slotMs: number;
  readonly #pauseMs: number;
  readonly #maxPauseMs: number;
  readonly #now: () => number;
  readonly #onChange: ((state: BreakerState) => void) | undefined;
  /** counts the changes of state: an outcome of a call admitted under an earlier one is stale and ignored */
  #generation = 1;
  #state: BreakerState = 'closed';
  #pause: number;
  #opensUntil = 0;
  #probing = false;
  #inARow = 0;
  readonly #failed = new Uint32Array(slots);
  readonly #ended = new Uint32Array(slots);
  #slot = 0;

  constructor(options: BreakerOptions = {}) {
    const { failures = 5, windowMs = 10_000, pauseMs = 1_000, maxPauseMs = 15_000, now, onChange } = options;
    this.#onChange = onChange;
    this.#failures = failures;
    this.#slotMs = windowMs / slots;
    this.#pauseMs = pauseMs;
    this.#maxPauseMs = maxPauseMs;
    this.#pause = pauseMs;
    this.#now = now ?? (() => performance.now());
    this.#slot = Math.floor(this.#now() / this.#slotMs);
  }

  get state(): BreakerState {
    if (this.#state === 'open' && this.#now() >= this.#opensUntil) return 'half-open';
    return this.#state;
  }

  /** Admits one call. @returns what `settle` needs, exactly once; undefined where the call must not be made */
  admit(): number | undefined {
    if (this.#state === 'closed') return this.#generation;
    if (this.#state === 'open') {
      if (this.#now() < this.#opensUntil) return undefined;
      this.#transition('half-open');
    }
    if (this.#probing) return undefined;
    this.#probing = true;
    return this.#generation;
  }

  /** Records what became of an admitted call. */
  settle(generation: number, outcome: CallOutcome): void {
    if (generation !== this.#generation) return;
    if (this.#state === 'half-open') {
      this.#probing = false;
      if (outcome === 'success') this.#close();
      else if (outcome === 'failure') this.#open(Math.min(this.#pause * 2, this.#maxPauseMs));
      return;
    }
    if (outcome === 'abandoned') return;
    const slot = this.#advance();
    this.#ended[slot]! += 1;
    if (outcome === 'success') {
      this.#inARow = 0;
      return;
    }
    this.#inARow += 1;
    this.#failed[slot]! += 1;
    const failed = sum(this.#failed);
    const ill = failed >= this.#failures && failed * 2 >= sum(this.#ended);
    if (ill || this.#inARow >= this.#failures) this.#open(this.#pauseMs);
  }

  /** Milliseconds until a refused call is worth another try: at least 1. */
  retryAfterMs(): number {
    return Math.max(1, Math.ceil(this.#opensUntil - this.#now()));
  }

  #transition(state: BreakerState): void {
    this.#state = state;
    this.#generation += 1;
    this.#probing = false;
    this.#onChange?.(state);
  }

  #open(pause: number): void {
    this.#pause = pause;
    this.#opensUntil = this.#now() + pause;
    this.#transition('open');
  }

  #close(): void {
    this.#inARow = 0;
    this.#failed.fill(0);
    this.#ended.fill(0);
    this.#transition('closed');
  }

  /** Moves the rolling window on to now and returns the index of its current slot. */
  #advance(): number {
    const slot = Math.floor(this.#now() / this.#slotMs);
    const passed = Math.min(slot - this.#slot, slots);
    for (let i = 1; i <= passed; i += 1) {
      this.#failed[(this.#slot + i) % slots] = 0;
      this.#ended[(this.#slot + i) % slots] = 0;
    }
    this.#slot = slot;
    return slot % slots;
  }
}

function sum(counts: Uint32Array): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}
