const perRequest = 0.1;
const reserve = 10;

/**
 * Limits retries to a tenth of the requests: to retry every request would double the load of an upstream that already
 * fails.
 */
export class RetryBudget {
  #tokens = reserve;

  /** Counts a first attempt. */
  deposit(): void {
    this.#tokens = Math.min(reserve, this.#tokens + perRequest);
  }

  /** Takes the right to one retry; returns false if none is left. */
  withdraw(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
