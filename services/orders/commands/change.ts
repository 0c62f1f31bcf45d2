import type { Pool } from 'pg';
import type { OrderCreated } from '#contracts/orders.ts';
import { fromDecimal } from '#platform/contract';
import type { OrderStatus } from '#contracts/orders.ts';
import { statusesBefore } from '../domain/lifecycle.ts';
import type { OrderState } from '../domain/order.ts';

// One statement is one round trip and one transaction. `current` locks the order's row, so that a second change sees the
// committed result of the first. The event takes its id under that lock, so that the ids of an order's events are in
// commit order, on which the relay relies.
const current = `current AS MATERIALIZED (
  SELECT o.id, o.user_id, o.status, o.total_amount, o.version, o.is_deleted, o.created_at, o.updated_at, e.data
  FROM orders o LEFT JOIN order_events e ON e.order_id = o.id AND e.version = 1
  WHERE o.id = $1 FOR NO KEY UPDATE OF o
)`;

const isoTime = (column: string) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

const setStatus = {
  name: 'set-order-status',
  text: `WITH ${current}, changed AS (
  UPDATE orders o SET status = $2, version = c.version + 1, updated_at = $3
  FROM current c
  WHERE o.id = c.id AND NOT c.is_deleted AND c.status = ANY($4::text[]) AND ($5::int[] IS NULL OR c.version = ANY($5))
  RETURNING o.id, o.version
), event AS (
  INSERT INTO order_events (order_id, version, type, data, traceparent, created_at)
  SELECT c.id, changed.version, 'order.status-changed', json_build_object(
    'orderId', c.id, 'userId', c.user_id, 'previousStatus', c.status, 'status', $2::text,
    'totalAmount', c.total_amount, 'version', changed.version,
    'createdAt', ${isoTime('c.created_at')}, 'changedAt', ${isoTime('$3::timestamptz')}), $6, $3
  FROM changed JOIN current c USING (id)
)
SELECT c.*, changed.version AS new_version FROM current c LEFT JOIN changed USING (id)`,
};

const remove = {
  name: 'delete-order',
  text: `WITH ${current}, changed AS (
  UPDATE orders o SET is_deleted = true, version = c.version + 1, updated_at = $2
  FROM current c WHERE o.id = c.id AND NOT c.is_deleted AND ($4::int[] IS NULL OR c.version = ANY($4))
  RETURNING o.id, o.version
), event AS (
  INSERT INTO order_events (order_id, version, type, data, traceparent, created_at)
  SELECT c.id, changed.version, 'order.deleted', json_build_object(
    'orderId', c.id, 'userId', c.user_id, 'status', c.status, 'totalAmount', c.total_amount,
    'version', changed.version, 'createdAt', ${isoTime('c.created_at')},
    'deletedAt', ${isoTime('$2::timestamptz')}), $3, $2
  FROM changed JOIN current c USING (id)
)
SELECT c.version, c.is_deleted, changed.id IS NOT NULL AS is_done FROM current c LEFT JOIN changed USING (id)`,
};

interface CurrentRow {
  user_id: string;
  status: OrderStatus;
  total_amount: string;
  version: number;
  is_deleted: boolean;
  created_at: Date;
  data: OrderCreated | null;
  new_version: number | null;
}

export interface Change {
  /** decimal digits of a 64-bit integer */
  id: string;
  /** the versions on which the client allows it; undefined for any */
  versions: number[] | undefined;
  traceparent: string | undefined;
}

export interface StatusChange extends Change {
  status: OrderStatus;
}

/** The reason why an order was not changed. */
type Unchanged = { kind: 'not-found' } | { kind: 'version-mismatch'; version: number };

/** The result of a status change, without the user's names; `from` is the status for which the change was refused. */
export type StatusOutcome =
  { kind: 'changed'; order: Omit<OrderState, 'user'> } | Unchanged | { kind: 'no-such-step'; from: OrderStatus };

/** Changes the status of an order: one transaction checks the newest committed state and writes state and event. */
export async function changeStatus(pool: Pool, change: StatusChange): Promise<StatusOutcome> {
  const { id, status, versions, traceparent } = change;
  const now = new Date();
  const { rows } = await pool.query<CurrentRow>({
    ...setStatus,
    values: [id, status, now, statusesBefore(status), versions ?? null, traceparent ?? null],
  });
  const [row] = rows;
  if (!row || row.is_deleted) return { kind: 'not-found' };
  if (versions && !versions.includes(row.version)) return { kind: 'version-mismatch', version: row.version };
  if (row.new_version === null) return { kind: 'no-such-step', from: row.status };
  const changed = { status, version: row.new_version, updatedAt: now };
  return { kind: 'changed', order: changedOrder(Number(id), row, changed) };
}

/** Deletes an order softly. One that is already deleted is not found. */
export async function deleteOrder(pool: Pool, change: Change): Promise<{ kind: 'deleted' } | Unchanged> {
  const { id, versions, traceparent } = change;
  const { rows } = await pool.query<Pick<CurrentRow, 'version' | 'is_deleted'> & { is_done: boolean }>({
    ...remove,
    values: [id, new Date(), traceparent ?? null, versions ?? null],
  });
  const [row] = rows;
  if (row?.is_done) return { kind: 'deleted' };
  return !row || row.is_deleted ? { kind: 'not-found' } : { kind: 'version-mismatch', version: row.version };
}

function changedOrder(
  id: number,
  row: CurrentRow,
  change: Pick<OrderState, 'status' | 'version' | 'updatedAt'>,
): Omit<OrderState, 'user'> {
  return {
    id,
    userId: Number(row.user_id),
    totalAmount: fromDecimal(row.total_amount),
    items: row.data?.items ?? [],
    shippingAddress: row.data?.shippingAddress ?? null,
    notes: row.data?.notes ?? null,
    isDeleted: false,
    createdAt: row.created_at,
    ...change,
  };
}
