import { fromDecimal } from '#platform/contract';
import type { Order, OrderItem, OrderStatus } from '#contracts/orders.ts';

/** What a query of the read model selects; see `orderColumns`. */
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

export function orderOf(row: OrderRow): Order {
  const items = row.items ?? [];
  return {
    id: Number(row.id),
    userId: Number(row.user_id),
    userUsername: row.username,
    userEmail: row.email,
    totalAmount: fromDecimal(row.total_amount),
    status: row.status,
    itemsCount: items.length,
    items,
    shippingAddress: row.shipping_address,
    notes: row.notes,
    isDeleted: row.is_deleted,
    version: row.version,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
  };
}
