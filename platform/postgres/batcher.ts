import { PlatformError } from '#platform/errors';

/** Thrown when the batcher's queue is full: the caller should refuse the work. */
export class BatcherFull extends PlatformError {
  override name = 'BatcherFull';

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_BATCHER_FULL', message, options);
  }
}

export interface BatcherOptions<T, R> {
  /** handles a batch and returns one result for each item, in the same order. If it throws, every item of the batch fails */
  run: (items: T[]) => Promise<R[]>;
  maxBatch: number;
  /** the most items that wait; then `submit` throws BatcherFull */
  maxQueue: number;
}

interface Waiting<T, R> {
  item: T;
  resolve: (result: R) => void;
  reject: (error: unknown) => void;
}

/**
 * Micro-batching: one batch runs at a time, and items that arrive meanwhile form the next one. Without load an item runs at
 * once; under load one round trip serves many. No item waits for a timer.
 */
export class Batcher<T, R> {
  readonly #options: BatcherOptions<T, R>;
  #queue: Waiting<T, R>[] = [];
  #running = false;
  #scheduled = false;
  #idle: (() => void)[] = [];

  constructor(options: BatcherOptions<T, R>) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  submit(item: T): Promise<R> {
    if (this.#queue.length >= this.#options.maxQueue) {
      return Promise.reject(new BatcherFull(`${this.#queue.length} are waiting already`));
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ item, resolve, reject });
      this.#schedule();
    });
  }

  /** Resolves when no item waits or runs. */
  drain(): Promise<void> {
    if (this.#queue.length === 0 && !this.#running) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Starts a batch after this turn of the event loop, so that requests read in the same turn share one. */
  #schedule(): void {
    if (this.#scheduled || this.#running) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      void this.#run(this.#queue.splice(0, this.#options.maxBatch));
    });
  }

  async #run(batch: Waiting<T, R>[]): Promise<void> {
    this.#running = true;
    try {
      const results = await this.#options.run(batch.map((waiting) => waiting.item));
      if (results.length !== batch.length) {
        throw new PlatformError('ERR_BATCHER_RESULTS', `${results.length} results for ${batch.length} items`);
      }
      batch.forEach((waiting, i) => waiting.resolve(results[i] as R));
    } catch (error) {
      for (const waiting of batch) waiting.reject(error);
    } finally {
      this.#running = false;
      if (this.#queue.length > 0) this.#schedule();
      else for (const resolve of this.#idle.splice(0)) resolve();
    }
  }
}
