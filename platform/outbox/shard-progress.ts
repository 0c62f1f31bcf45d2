import { advance, compare } from './cursor.ts';
import type { Cursor, LeasedCursor, RowPosition, ReadPosition } from './cursor.ts';

/** When so many rows are published ahead of the cursors, the shards that have most of them wait until their cursors follow. */
const maxAhead = 5_000;
const noShards: ReadonlySet<number> = new Set();

/** How far the shards of a relay are published: their cursors, and the rows published ahead of them. */
export class ShardProgress {
  #cursors = new Map<number, Cursor>();
  /** shards whose cursor has moved and is not stored yet */
  readonly #moved = new Set<number>();
  /** by id; a cursor cannot pass these while an older transaction is open, or another partition of their batch has failed */
  readonly #ahead = new Map<number, RowPosition>();

  get shards(): number[] {
    return [...this.#cursors.keys()].toSorted((a, b) => a - b);
  }

  get cursors(): Cursor[] {
    return [...this.#cursors.values()];
  }

  /** The cursors that have to be stored. */
  get moved(): Cursor[] {
    return [...this.#moved].flatMap((shard) => this.#cursors.get(shard) ?? []);
  }

  /** The ids of the rows published ahead of the cursors. */
  get ahead(): number[] {
    return [...this.#ahead.keys()];
  }

  /** Of too many rows published ahead of the cursors: the shards that have their share or more. The others go on. */
  get farAhead(): ReadonlySet<number> {
    if (this.#ahead.size < maxAhead) return noShards;
    const byShard = Map.groupBy(this.#ahead.values(), ({ shard }) => shard);
    const share = maxAhead / this.#cursors.size;
    return new Set([...byShard].filter(([, rows]) => rows.length >= share).map(([shard]) => shard));
  }

  /** Whether rows of the shard are published ahead of its cursor. */
  isAhead(shard: number): boolean {
    return this.#ahead.values().some((row) => row.shard === shard);
  }

  has(shard: number): boolean {
    return this.#cursors.has(shard);
  }

  /**
   * Sets the owned shards. The cursors from before are stored, and another relay can have moved them since. Of a shard that was
   * taken only now, the rows ahead of the cursor are published again: its lease can have been taken away for that.
   */
  own(leased: readonly LeasedCursor[]): void {
    for (const { shard, isTaken } of leased) if (isTaken) this.#forgetAhead(shard);
    this.#cursors = new Map(leased.map(({ shard, xid, id }) => [shard, { shard, xid, id }]));
  }

  /** Records which cursors were stored. @returns the lost shards, whose cursors were not: another relay owns them */
  stored(tried: readonly Cursor[], stored: readonly number[]): number[] {
    const lost = tried.map((cursor) => cursor.shard).filter((shard) => !stored.includes(shard));
    for (const { shard } of tried) this.#moved.delete(shard);
    for (const shard of lost) this.#cursors.delete(shard);
    return lost;
  }

  #forgetAhead(shard: number): void {
    for (const [id, row] of this.#ahead) if (row.shard === shard) this.#ahead.delete(id);
  }

  /** Records rows that Kafka has acknowledged. */
  published(rows: readonly RowPosition[]): void {
    for (const { shard, xid, id } of rows) this.#ahead.set(id, { shard, xid, id });
  }

  /** Moves the cursors past the published rows, as far as one read shows that nothing is missing. */
  follow({ rows, horizon }: { rows: readonly ReadPosition[]; horizon: number }): void {
    const read = Map.groupBy(rows, (row) => row.shard);
    const concerned = new Set([...read.keys(), ...this.#ahead.values().map((row) => row.shard)]);
    const isPublished = (row: RowPosition) => this.#ahead.has(row.id);
    for (const shard of concerned) {
      const cursor = this.#cursors.get(shard);
      if (!cursor) continue;
      const moved = advance(cursor, read.get(shard) ?? [], horizon, isPublished);
      if (moved === cursor) continue;
      this.#cursors.set(shard, moved);
      this.#moved.add(shard);
    }
    for (const [id, row] of this.#ahead) {
      const cursor = this.#cursors.get(row.shard);
      if (!cursor || compare(row, cursor) <= 0) this.#ahead.delete(id);
    }
  }
}
