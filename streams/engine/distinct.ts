import { HyperLogLog } from './hyperloglog.ts';

/**
 * The distinct texts of a window: the texts themselves up to a bound, above it a sketch. The result does not depend on the
 * order of the texts, nor on how they are divided; a repeated text changes nothing.
 */
export class DistinctSet {
  readonly #exactUpTo: number;
  #texts = new Set<string>();
  #sketch: HyperLogLog | undefined;

  constructor(exactUpTo: number) {
    this.#exactUpTo = exactUpTo;
  }

  /** Reads what `toString` wrote. */
  static parse(text: string, exactUpTo: number): DistinctSet {
    const set = new DistinctSet(exactUpTo);
    if (text.startsWith('[')) set.#texts = new Set(JSON.parse(text) as string[]);
    else set.#sketch = HyperLogLog.parse(text);
    return set;
  }

  add(text: string): void {
    if (this.#sketch) {
      this.#sketch.add(text);
      return;
    }
    this.#texts.add(text);
    if (this.#texts.size > this.#exactUpTo) this.#becomeSketch();
  }

  merge(other: DistinctSet): void {
    if (other.#sketch) {
      const sketch = this.#sketch ?? this.#becomeSketch();
      sketch.merge(other.#sketch);
    } else for (const text of other.#texts) this.add(text);
  }

  #becomeSketch(): HyperLogLog {
    this.#sketch = new HyperLogLog();
    for (const text of this.#texts) this.#sketch.add(text);
    this.#texts.clear();
    return this.#sketch;
  }

  /** The number of distinct texts; above the bound, and only there, an estimate. */
  count(): number {
    return this.#sketch ? Math.max(this.#sketch.estimate(), this.#exactUpTo + 1) : this.#texts.size;
  }

  /** A JSON list of the texts, or base64 of the sketch. */
  toString(): string {
    return this.#sketch ? this.#sketch.toString() : JSON.stringify([...this.#texts]);
  }
}
