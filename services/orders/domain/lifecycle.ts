import type { OrderStatus } from '#contracts/orders.ts';
import { orderStatuses } from '#contracts/orders.ts';

/**
 * The allowed status changes. A shipped order cannot be cancelled; DELIVERED and CANCELLED are final. A change to the same
 * status is a conflict, so that the client notices that it repeats a change.
 */
const steps: Record<OrderStatus, readonly OrderStatus[]> = {
  PENDING: ['CONFIRMED', 'CANCELLED'],
  CONFIRMED: ['SHIPPED', 'CANCELLED'],
  SHIPPED: ['DELIVERED'],
  DELIVERED: [],
  CANCELLED: [],
};

/** Whether an order may change from one status to another. */
export function mayStep(from: OrderStatus, to: OrderStatus): boolean {
  return steps[from].includes(to);
}

/** The statuses from which an order may change to `to`. */
export function statusesBefore(to: OrderStatus): OrderStatus[] {
  return orderStatuses.filter((from) => mayStep(from, to));
}

/** The reason of a refused status change, for the client. */
export function refusal(from: OrderStatus, to: OrderStatus): string {
  if (from === to) return `The order is already ${from}`;
  const next = steps[from];
  return next.length === 0
    ? `The order is ${from}, which is final`
    : `A ${from} order can become ${next.join(' or ')}, not ${to}`;
}
