/** Thrown when the batcher's queue is full: the caller should refuse the work. */
export class BatcherFull extends Error {
  override name = 'BatcherFull';
}

export interface BatcherOptions<T, R> {
  /** handles a batch and returns one result for each item, in the same order. If it throws, every item of the batch fails */
  run: (items: T[]) => Promise<R[]>;
  maxBatch: number;
  /** how many batches run at once */
  concurrency: number;
  /** the most items that wait; then `submit` throws BatcherFull */
  maxQueue: number;
}

interface Waiting<T, R> {
  item: T;
  resolve: (result: R) => void;
  reject: (error: unknown) => void;
}

/**
 * Micro-batching: items that arrive while a batch runs form the next one. Without load an item runs at once; under load one
 * round trip serves many. No item waits for a timer.
 */
export class Batcher<T, R> {
  readonly #options: BatcherOptions<T, R>;
  #queue: Waiting<T, R>[] = [];
  #running = 0;
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
    if (this.#queue.length === 0 && this.#running === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Starts batches after this turn of the event loop, so that requests read in the same turn share one. */
  #schedule(): void {
    if (this.#scheduled || this.#running >= this.#options.concurrency) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      while (this.#queue.length > 0 && this.#running < this.#options.concurrency) {
        void this.#run(this.#queue.splice(0, this.#options.maxBatch));
      }
    });
  }

  async #run(batch: Waiting<T, R>[]): Promise<void> {
    this.#running += 1;
    try {
      const results = await this.#options.run(batch.map((waiting) => waiting.item));
      if (results.length !== batch.length) throw new Error(`${results.length} results for ${batch.length} items`);
      batch.forEach((waiting, i) => waiting.resolve(results[i] as R));
    } catch (error) {
      for (const waiting of batch) waiting.reject(error);
    } finally {
      this.#running -= 1;
      if (this.#queue.length > 0) this.#schedule();
      else if (this.#running === 0) for (const resolve of this.#idle.splice(0)) resolve();
    }
  }
}
