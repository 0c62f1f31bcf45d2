/** A value that is read at most once per `maxAgeMs`, and by one reader at a time. */
export class Cached<T> {
  readonly #maxAgeMs: number;
  readonly #read: () => Promise<T>;
  #value: { of: Promise<T>; at: number } | undefined;

  constructor(maxAgeMs: number, read: () => Promise<T>) {
    this.#maxAgeMs = maxAgeMs;
    this.#read = read;
  }

  /** The value; a failed read is not kept. */
  get(): Promise<T> {
    if (this.#value && performance.now() - this.#value.at < this.#maxAgeMs) return this.#value.of;
    const value = { of: this.#read(), at: performance.now() };
    this.#value = value;
    value.of.catch(() => {
      if (this.#value === value) this.#value = undefined;
    });
    return value.of;
  }
}
