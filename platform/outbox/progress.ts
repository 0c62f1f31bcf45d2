import { advance, compare, later } from './cursor.ts';
import type { Cursor, Position, ReadPosition } from './cursor.ts';

/** Rows published ahead of the cursors at most; beyond, the relay waits for the cursors to follow. */
const maxAhead = 5_000;

/** What a relay knows of its shards: how far each is published, and what is published beyond. */
export class Progress {
  #cursors = new Map<number, Cursor>();
  /** shards whose cursor is not stored yet */
  readonly #moved = new Set<number>();
  /** by id; behind a cursor: a transaction from before them was open, or another partition of their batch failed */
  readonly #ahead = new Map<number, Position>();

  get shards(): number[] {
    return [...this.#cursors.keys()].toSorted((a, b) => a - b);
  }

  get cursors(): Cursor[] {
    return [...this.#cursors.values()];
  }

  /** The cursors that are to be stored. */
  get moved(): Cursor[] {
    return [...this.#moved].flatMap((shard) => this.#cursors.get(shard) ?? []);
  }

  /** The ids of the rows published behind the cursors. */
  get ahead(): number[] {
    return [...this.#ahead.keys()];
  }

  get isFarAhead(): boolean {
    return this.#ahead.size >= maxAhead;
  }

  /** Whether rows of the shard are published that its cursor has not passed. */
  isAhead(shard: number): boolean {
    return this.#ahead.values().some((row) => row.shard === shard);
  }

  has(shard: number): boolean {
    return this.#cursors.has(shard);
  }

  /** Takes over the shards that are owned now; a cursor here may be ahead of the stored one, or behind another relay's. */
  own(stored: readonly Cursor[]): void {
    this.#cursors = new Map(
      stored.map((cursor) => [cursor.shard, later(cursor, this.#cursors.get(cursor.shard) ?? cursor)]),
    );
  }

  /** Notes which of the cursors were stored. @returns the shards that were not: they are somebody else's, and dropped */
  stored(tried: readonly Cursor[], stored: readonly number[]): number[] {
    const lost = tried.map((cursor) => cursor.shard).filter((shard) => !stored.includes(shard));
    for (const { shard } of tried) this.#moved.delete(shard);
    for (const shard of lost) this.#cursors.delete(shard);
    return lost;
  }

  /** Notes rows that Kafka has acknowledged. */
  published(rows: readonly Position[]): void {
    for (const { shard, xid, id } of rows) this.#ahead.set(id, { shard, xid, id });
  }

  /** Moves the cursors over what is published by now, as far as the rows of one read tell. */
  follow({ rows, horizon }: { rows: readonly ReadPosition[]; horizon: number }): void {
    const read = Map.groupBy(rows, (row) => row.shard);
    const concerned = new Set([...read.keys(), ...this.#ahead.values().map((row) => row.shard)]);
    const isPublished = (row: Position) => this.#ahead.has(row.id);
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
