const half = 2 ** 24;

/** The multiplier 0x5DEECE66D in halves of 24 bits. */
const multiplier = { high: 0x5de, low: 0xece66d };

/**
 * `java.util.Random` for a seed below 2^48: the linear congruential generator of its documentation, the same in every Java.
 * https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/util/Random.html
 */
export class JavaRandom {
  #high: number;
  #low: number;

  constructor(seed: number) {
    this.#high = Math.floor(seed / half) ^ multiplier.high;
    this.#low = (seed % half) ^ multiplier.low;
  }

  /** A number from 0 to `bound - 1`. @param bound at most 2^31 - 1 */
  nextInt(bound: number): number {
    if ((bound & -bound) === bound) return Math.floor((bound * this.#next31()) / 2 ** 31);
    for (;;) {
      const bits = this.#next31();
      const value = bits % bound;
      if (bits - value + bound - 1 < 2 ** 31) return value;
    }
  }

  #next31(): number {
    const low = this.#low * multiplier.low + 0xb;
    const high = this.#high * multiplier.low + this.#low * multiplier.high + Math.floor(low / half);
    this.#low = low % half;
    this.#high = high % half;
    return this.#high * 128 + (this.#low >>> 17);
  }
}
