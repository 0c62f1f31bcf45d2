import type { Pool } from 'pg';
import type { OrderCreated } from '#contracts/orders.ts';
import type { Order, OrderStatistics, OrderStatus, StoredEvent } from '#contracts/orders.ts';
import { orderColumns, orderOfRow } from './row.ts';
import type { OrderRow } from './row.ts';

/** Reads an order from the read model, deleted or not. `id` is decimal digits of a 64-bit integer. */
export async function findOrder(pool: Pool, id: string): Promise<Order | undefined> {
  const { rows } = await pool.query<OrderRow>({
    name: 'find-order',
    text: `SELECT ${orderColumns} FROM orders o LEFT JOIN users u ON u.id = o.user_id WHERE o.id = $1`,
    values: [id],
  });
  return rows[0] && orderOfRow(rows[0]);
}

/** The versions that the read model has of some orders. */
export async function versionsOf(pool: Pool, ids: string[]): Promise<Map<string, number>> {
  const { rows } = await pool.query<{ id: string; version: number }>({
    name: 'order-versions',
    text: 'SELECT id, version FROM orders WHERE id = ANY($1::bigint[])',
    values: [ids],
  });
  return new Map(rows.map(({ id, version }) => [id, version]));
}

/** Counts the orders of the read model by status, without deleted ones. */
export async function orderStatistics(pool: Pool): Promise<OrderStatistics> {
  const { rows } = await pool.query<{ status: OrderStatus; orders: number }>({
    name: 'order-statistics',
    text: 'SELECT status, sum(orders)::float8 AS orders FROM order_statistics GROUP BY status',
  });
  const of = (status: OrderStatus) => rows.find((row) => row.status === status)?.orders ?? 0;
  return {
    pendingCount: of('PENDING'),
    confirmedCount: of('CONFIRMED'),
    shippedCount: of('SHIPPED'),
    deliveredCount: of('DELIVERED'),
    cancelledCount: of('CANCELLED'),
    totalCount: rows.reduce((sum, row) => sum + row.orders, 0),
  };
}

interface EventRow {
  version: number;
  type: string;
  data: OrderCreated;
  created_at: Date;
}

/** Reads an order's events from the event store, oldest first; none if there is no such order. */
export async function storedEvents(writePool: Pool, id: string): Promise<StoredEvent[]> {
  const { rows } = await writePool.query<EventRow>({
    name: 'stored-events',
    text: 'SELECT version, type, data, created_at FROM order_events WHERE order_id = $1 ORDER BY version',
    values: [id],
  });
  return rows.map(({ version, type, data, created_at }) => ({
    id: `order-${data.orderId}-${version}`,
    type,
    version,
    time: created_at.toISOString(),
    data,
  }));
}
