import { fromDecimal } from '#platform/contract';
import type { Order, OrderItem, OrderStatus } from '#contracts/orders.ts';
import { orderOf } from '../domain/order.ts';

/** A row of the read model; see `orderColumns`. */
export interface OrderRow {
  id: string;
  user_id: string;
  username: string | null;
  email: string | null;
  total_amount: string;
  status: OrderStatus;
  items: OrderItem[] | null;
  shipping_address: string | null;
  notes: string | null;
  is_deleted: boolean;
  version: number;
  created_at: Date;
  updated_at: Date;
}

/** The columns of an order `o` and its user `u`. */
export const orderColumns = `o.id, o.user_id, u.username, u.email, o.total_amount, o.status, o.items,
  o.shipping_address, o.notes, o.is_deleted, o.version, o.created_at, o.updated_at`;

/** The order of a row. */
export function orderOfRow(row: OrderRow): Order {
  return orderOf({
    id: Number(row.id),
    userId: Number(row.user_id),
    user: { username: row.username, email: row.email },
    totalAmount: fromDecimal(row.total_amount),
    status: row.status,
    items: row.items ?? [],
    shippingAddress: row.shipping_address,
    notes: row.notes,
    isDeleted: row.is_deleted,
    version: row.version,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  });
}
