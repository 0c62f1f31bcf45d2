/**
 * How many events of a partition can lie between an event and its repetition. A relay that fails repeats the events that its
 * cursor has not passed: some thousand events over all partitions.
 */
export const maxRepeatDistance = 8_192;

/** Identifies an event: an id is unique within its source (CloudEvents 1.0, "id"). */
export function hashOfEvent({ source, id }: { source: string; id: string }): number {
  return hashOf(id, source);
}

/** A hash of 53 bits: among `maxRepeatDistance` ids, two different ones collide once in 10^12. After cyrb53. */
export function hashOf(id: string, salt = ''): number {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let i = 0; i < salt.length; i++) {
    const unit = salt.charCodeAt(i) + 0x10000; // no id has this unit, so that none continues a salt
    a = Math.imul(a ^ unit, 0x9e3779b1);
    b = Math.imul(b ^ unit, 0x5f356495);
  }
  for (let i = 0; i < id.length; i++) {
    const unit = id.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x9e3779b1);
    b = Math.imul(b ^ unit, 0x5f356495);
  }
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35);
  b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
  return 0x100000000 * (b & 0x1fffff) + (a >>> 0);
}

/** The hashes of the ids of the latest events of a partition: `maxRepeatDistance` to twice as many. */
export class RecentIds {
  #younger = new HashSet();
  #older = new HashSet();

  constructor(hashes: Iterable<number> = []) {
    for (const hash of hashes) this.add(hash);
  }

  has(hash: number): boolean {
    return this.#younger.has(hash) || this.#older.has(hash);
  }

  /** @returns whether the id is new */
  add(hash: number): boolean {
    if (this.#older.has(hash) || !this.#younger.add(hash)) return false;
    if (this.#younger.size < maxRepeatDistance) return true;
    const oldest = this.#older;
    oldest.clear();
    this.#older = this.#younger;
    this.#younger = oldest;
    return true;
  }
}

/**
 * The ids of the latest events of each partition of a topic. An event that comes by two partitions is one event: their number has
 * changed between the two, or somebody has written it twice.
 */
export class TopicIds {
  readonly #partitions: Map<number, RecentIds>;

  /** @param others whose partitions this one begins with */
  constructor(others?: TopicIds) {
    this.#partitions = new Map(others && others.#partitions);
  }

  /** Sets the ids of a partition. */
  set(partition: number, hashes: Iterable<number>): void {
    this.#partitions.set(partition, new RecentIds(hashes));
  }

  /** @returns whether the id is new to all partitions; this one has it from now on then */
  add(partition: number, hash: number): boolean {
    const own = this.#of(partition);
    for (const ids of this.#partitions.values()) if (ids !== own && ids.has(hash)) return false;
    return own.add(hash);
  }

  #of(partition: number): RecentIds {
    let own = this.#partitions.get(partition);
    if (!own) this.#partitions.set(partition, (own = new RecentIds()));
    return own;
  }
}

/** Up to `maxRepeatDistance` hashes in an open-addressing table: a Set boxes each number of more than 31 bits. */
class HashSet {
  size = 0;
  /** at most half full; 0 is a free entry, and a hash of 0 is stored as 1 */
  readonly #table = new Float64Array(2 * maxRepeatDistance);

  has(hash: number): boolean {
    return this.#table[this.#indexOf(hash)] !== 0;
  }

  /** @returns whether the hash is new */
  add(hash: number): boolean {
    const index = this.#indexOf(hash);
    if (this.#table[index] !== 0) return false;
    this.#table[index] = hash || 1;
    this.size += 1;
    return true;
  }

  clear(): void {
    this.#table.fill(0);
    this.size = 0;
  }

  /** The index of a hash, or of the entry for it. */
  #indexOf(hash: number): number {
    const mask = this.#table.length - 1;
    const wanted = hash || 1;
    let index = hash & mask; // all bits are equally good
    while (this.#table[index] !== wanted && this.#table[index] !== 0) index = (index + 1) & mask;
    return index;
  }
}
