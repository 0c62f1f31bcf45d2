/**
 * How far a shard is published: every row up to the cursor. Transaction ids and row ids have 64 bits, and a number keeps 53
 * of them: enough for 28,000 years at 10,000 a second.
 */
export interface Cursor {
  shard: number;
  xid: number;
  id: number;
}

/** The position of a row in the order of the cursor. */
export type RowPosition = Pick<Cursor, 'shard' | 'xid' | 'id'>;

/** A row that was read after a cursor. */
export interface ReadPosition extends RowPosition {
  /** whether the read has all rows before it */
  head: boolean;
  /** whether its shard has more rows than the read */
  cut: boolean;
}

/** A stored cursor of a leased shard. */
export interface LeasedCursor extends Cursor {
  /** whether this relay did not have the lease of the shard before */
  isTaken: boolean;
}

/** Negative if `a` comes before `b` in the order of the cursor. */
export function compare(a: Omit<RowPosition, 'shard'>, b: Omit<RowPosition, 'shard'>): number {
  return a.xid - b.xid || a.id - b.id;
}

/** The later of two positions of a shard. */
function later(a: Cursor, b: Cursor): Cursor {
  return compare(a, b) >= 0 ? a : b;
}

/**
 * How far a shard's cursor can move. It stops before the first row that is not published, at the end of the read, and at
 * the horizon: above it, rows of open transactions can still appear.
 * @param rows the rows of the read that were not published before, in the order of the cursor
 */
export function advance(
  cursor: Cursor,
  rows: readonly ReadPosition[],
  horizon: number,
  isPublished: (row: RowPosition) => boolean,
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
