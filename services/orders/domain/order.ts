import { createHash } from 'node:crypto';
import { fromCents, toCents } from '#platform/contract';
import type { Order, OrderInput, OrderItem, OrderStatus } from '#contracts/orders.ts';
import { badRequest } from '#platform/http';
import type { FieldError } from '#platform/http';

/** An order that fits every rule that needs no other service. */
export interface NewOrder {
  userId: number;
  totalCents: number;
  items: OrderItem[];
  shippingAddress: string | null;
  notes: string | null;
}

/** The fields of a user in an order. */
export interface KnownUser {
  username: string | null;
  email: string | null;
}

/**
 * Checks the rule that a schema cannot express: each `totalPrice` is quantity × unitPrice, in whole cents.
 * @throws Problem 400 that names each field
 */
export function newOrder(input: OrderInput): NewOrder {
  const errors: FieldError[] = [];
  let totalCents = 0;
  const items = input.items.map(({ productId, productName, quantity, unitPrice, totalPrice }, i) => {
    const expected = quantity * toCents(unitPrice)!;
    if (toCents(totalPrice) !== expected) {
      errors.push({
        field: `items[${i}].totalPrice`,
        message: `must be quantity × unitPrice = ${fromCents(expected)}`,
      });
    }
    totalCents += expected;
    return { productId, productName, quantity, unitPrice, totalPrice };
  });
  const { userId, shippingAddress = null, notes = null } = input;
  if (errors.length > 0) throw badRequest('The order has mistakes', errors);
  return { userId, totalCents, items, shippingAddress, notes };
}

/** Equal for two requests with the same order, in any JSON form. */
export function fingerprint(order: NewOrder): string {
  return createHash('sha256').update(JSON.stringify(order)).digest('base64url');
}

/** Whole cents as PostgreSQL's numeric reads them. */
export function decimalOf(cents: number): string {
  return `${Math.trunc(cents / 100)}.${String(cents % 100).padStart(2, '0')}`;
}

/** The data of `order.created`, without the id that only the database knows. */
export function createdData(order: NewOrder, createdAt: Date): Record<string, unknown> {
  const { userId, totalCents, items, shippingAddress, notes } = order;
  const totalAmount = fromCents(totalCents);
  return { userId, status: 'PENDING', totalAmount, items, shippingAddress, notes, createdAt };
}

/** The known fields of an order, from either database. */
export interface OrderState {
  id: number;
  userId: number;
  /** undefined if the user is unknown */
  user: KnownUser | undefined;
  totalAmount: number;
  status: OrderStatus;
  items: OrderItem[];
  shippingAddress: string | null;
  notes: string | null;
  isDeleted: boolean;
  version: number;
  createdAt: Date;
  updatedAt: Date;
}

/** The order in the form of the contract. */
export function orderOf(state: OrderState): Order {
  const { user, items, createdAt, updatedAt } = state;
  return {
    id: state.id,
    userId: state.userId,
    userUsername: user?.username ?? null,
    userEmail: user?.email ?? null,
    totalAmount: state.totalAmount,
    status: state.status,
    itemsCount: items.length,
    items,
    shippingAddress: state.shippingAddress,
    notes: state.notes,
    isDeleted: state.isDeleted,
    version: state.version,
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
  };
}

/** The order right after it was placed. */
export function placedOrder(id: number, order: NewOrder, user: KnownUser | undefined, createdAt: Date): Order {
  const { userId, totalCents, items, shippingAddress, notes } = order;
  return orderOf({
    id,
    userId,
    user,
    totalAmount: fromCents(totalCents),
    status: 'PENDING',
    items,
    shippingAddress,
    notes,
    isDeleted: false,
    version: 1,
    createdAt,
    updatedAt: createdAt,
  });
}
