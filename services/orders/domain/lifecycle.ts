import type { OrderStatus } from '#contracts/orders.ts';
import { orderStatuses } from '#contracts/orders.ts';

/**
 * The steps of an order's life. What was shipped cannot be cancelled any more; DELIVERED and CANCELLED are ends.
 * Staying where it is is no step: a repeated one is a conflict that tells the client so.
 */
const steps: Record<OrderStatus, readonly OrderStatus[]> = {
  PENDING: ['CONFIRMED', 'CANCELLED'],
  CONFIRMED: ['SHIPPED', 'CANCELLED'],
  SHIPPED: ['DELIVERED'],
  DELIVERED: [],
  CANCELLED: [],
};

/** Whether an order may go from one status to another. */
export function mayStep(from: OrderStatus, to: OrderStatus): boolean {
  return steps[from].includes(to);
}

/** The statuses from which an order may get to `to`. */
export function statusesBefore(to: OrderStatus): OrderStatus[] {
  return orderStatuses.filter((from) => mayStep(from, to));
}

/** Why an order cannot take a step, for people. */
export function refusal(from: OrderStatus, to: OrderStatus): string {
  if (from === to) return `The order is ${from} already`;
  const next = steps[from];
  return next.length === 0
    ? `The order is ${from}, which is final`
    : `A ${from} order can become ${next.join(' or ')}, not ${to}`;
}
