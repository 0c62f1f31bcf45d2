const perRequest = 0.1;
const reserve = 10;

/**
 * Lets retries add at most a tenth to the requests: when an upstream is ill, retrying everything would double its load
 * at the worst moment.
 */
export class RetryBudget {
  #tokens = reserve;

  /** Counts a first attempt. */
  deposit(): void {
    this.#tokens = Math.min(reserve, this.#tokens + perRequest);
  }

  /** Takes the right to one retry, where there is one left. */
  withdraw(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
