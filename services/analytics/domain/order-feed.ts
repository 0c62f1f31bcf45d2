import type { ReceivedEvent } from '#platform/contract';

/** The fields of an order's event in the live stream: without items and addresses. */
function orderItem({ type, time, data }: ReceivedEvent): string | undefined {
  if (!type.startsWith('order.') || typeof data !== 'object' || data === null) return undefined;
  const { orderId, userId, status, previousStatus, totalAmount } = data as Record<string, unknown>;
  return JSON.stringify({ type, orderId, userId, status, previousStatus, totalAmount, time: new Date(time) });
}

/** Orders in the live stream, as events named `order`. */
export const orderFeed = { kind: 'order', itemOf: orderItem };
