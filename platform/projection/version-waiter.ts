import { unavailable } from '#platform/http';

export interface VersionWaiterOptions {
  /** reads the versions of these orders */
  versions: (ids: string[]) => Promise<Map<string, number>>;
  /** how long a request waits at most, in milliseconds */
  timeoutMs?: number;
  /** how often to read the versions without a `wake`, in milliseconds */
  pollMs?: number;
  /** how many requests can wait at once */
  maxWaiting?: number;
}

interface Waiting {
  id: string;
  version: number;
  settle: (error?: unknown) => void;
}

/**
 * Waits until the read model has a version of an order. All waiting requests share one query. It runs when the projection of
 * this process commits (`wake`), and every few milliseconds, because other processes project, too.
 */
export class VersionWaiter {
  readonly #options: Required<VersionWaiterOptions>;
  readonly #waiting = new Set<Waiting>();
  #timer: NodeJS.Timeout | undefined;
  #reading = false;
  #again = false;

  constructor(options: VersionWaiterOptions) {
    this.#options = { timeoutMs: 1_000, pollMs: 10, maxWaiting: 1_000, ...options };
  }

  /**
   * Resolves when the read model has the version, the time is over, or the client has closed the connection.
   * @throws Problem 503 if too many requests wait, and any error of reading the versions
   */
  wait(id: string, version: number, signal: AbortSignal): Promise<void> {
    const { maxWaiting, timeoutMs } = this.#options;
    if (this.#waiting.size >= maxWaiting) return Promise.reject(unavailable('Too many wait for a version already'));
    return new Promise((resolve, reject) => {
      const settle = (error?: unknown) => {
        this.#waiting.delete(waiting);
        clearTimeout(timeout);
        signal.removeEventListener('abort', onAbort);
        if (error === undefined) resolve();
        else reject(error as Error);
      };
      const waiting: Waiting = { id, version, settle };
      const onAbort = () => settle();
      const timeout = setTimeout(settle, timeoutMs);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(waiting);
      this.wake();
    });
  }

  /** Reads the versions now, or again after the running query. */
  wake(): void {
    if (this.#waiting.size === 0) return;
    if (this.#reading) {
      this.#again = true;
      return;
    }
    clearTimeout(this.#timer);
    void this.#read();
  }

  async #read(): Promise<void> {
    this.#reading = true;
    this.#again = false;
    const asking = [...this.#waiting];
    try {
      const versions = await this.#options.versions([...new Set(asking.map(({ id }) => id))]);
      for (const { id, version, settle } of asking) {
        if ((versions.get(id) ?? 0) >= version) settle();
      }
    } catch (error) {
      for (const { settle } of asking) settle(error);
    }
    this.#reading = false;
    if (this.#waiting.size === 0) return;
    if (this.#again) void this.#read();
    else this.#timer = setTimeout(() => this.wake(), this.#options.pollMs);
  }
}
