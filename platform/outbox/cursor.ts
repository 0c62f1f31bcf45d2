/**
 * The position of a shard: every row up to it is published. Transaction ids and row ids have 64 bits, of which a number
 * keeps 53: at 10,000 a second they last 28,000 years.
 */
export interface Cursor {
  shard: number;
  xid: number;
  id: number;
}

/** Where a row is. */
export type Position = Pick<Cursor, 'shard' | 'xid' | 'id'>;

/** A row as it was read behind a cursor. */
export interface ReadPosition extends Position {
  /** whether all rows before it were read too */
  head: boolean;
  /** whether its shard has rows that were not read */
  cut: boolean;
}

/** Negative where `a` comes before `b` in the order of the cursor. */
export function compare(a: Omit<Position, 'shard'>, b: Omit<Position, 'shard'>): number {
  return a.xid - b.xid || a.id - b.id;
}

/** The later of two positions of a shard. */
export function later(a: Cursor, b: Cursor): Cursor {
  return compare(a, b) >= 0 ? a : b;
}

/**
 * How far a shard's cursor may move: before the first row that is not published, not past what was read, and not past the
 * horizon, above which rows of open transactions may yet appear.
 * @param rows what was read behind the cursor, without what was published before, in the order of the cursor
 */
export function advance(
  cursor: Cursor,
  rows: readonly ReadPosition[],
  horizon: number,
  isPublished: (row: Position) => boolean,
): Cursor {
  const { shard } = cursor;
  const end = { shard, xid: horizon, id: 0 };
  const head = rows.filter((row) => row.head);
  const missing = head.find((row) => !isPublished(row));
  const last = head.at(-1);
  let limit = end;
  if (missing) limit = { shard, xid: missing.xid, id: missing.id - 1 };
  else if (last?.cut) limit = { shard, xid: last.xid, id: last.id };
  return later(cursor, compare(limit, end) < 0 ? limit : end);
}
