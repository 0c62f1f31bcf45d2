/**
 * How many events of a partition may lie between an event and its repetition. A relay that fails sends again what its cursor
 * had not passed: some thousand events over all partitions.
 */
export const horizon = 8_192;

/** 53 bits of an id: among `horizon` others, two that differ collide once in 10^12. After cyrb53. */
export function hashOf(id: string): number {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let i = 0; i < id.length; i++) {
    const unit = id.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x9e3779b1);
    b = Math.imul(b ^ unit, 0x5f356495);
  }
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35);
  b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
  return 0x100000000 * (b & 0x1fffff) + (a >>> 0);
}

/** The ids of the latest events of a partition, `horizon` to twice as many, as hashes. */
export class RecentIds {
  #younger = new Set<number>();
  #older = new Set<number>();

  constructor(hashes: Iterable<number> = []) {
    for (const hash of hashes) this.add(hash);
  }

  /** @returns whether the id is new */
  add(hash: number): boolean {
    if (this.#younger.has(hash) || this.#older.has(hash)) return false;
    if (this.#younger.size >= horizon) {
      this.#older = this.#younger;
      this.#younger = new Set();
    }
    this.#younger.add(hash);
    return true;
  }
}
