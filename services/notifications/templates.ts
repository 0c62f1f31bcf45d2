import type { EventData } from '#contracts/index.ts';
import type { OrderCreated, OrderStatusChanged } from '#contracts/orders.ts';
import type { ReceivedEvent } from '#platform/contract';
import { oneLine } from './text.ts';

/**
 * The message of an event. Subject and body contain no personal data (the sender adds the salutation), so that
 * nothing must be erased from them when a user is deleted.
 */
export interface Message {
  userId: number;
  subject: string;
  body: string;
}

const statusTexts: Record<OrderStatusChanged['status'], { subject: string; sentence: string }> = {
  PENDING: { subject: 'is pending', sentence: 'is pending again. We will write when that changes.' },
  CONFIRMED: { subject: 'is confirmed', sentence: 'is confirmed. We will write when it is on its way.' },
  SHIPPED: { subject: 'is on its way', sentence: 'has left our warehouse and is on its way to you.' },
  DELIVERED: { subject: 'was delivered', sentence: 'was delivered. We hope that you like it.' },
  CANCELLED: { subject: 'was cancelled', sentence: 'was cancelled. Nothing will be sent.' },
};

/** The message for an event; undefined if it needs none. */
export function messageFor(event: Pick<ReceivedEvent, 'type' | 'data'>): Message | undefined {
  switch (event.type) {
    case 'user.created':
      return welcome((event.data as EventData['user.created']).userId);
    case 'order.created':
      return orderReceived(event.data as OrderCreated);
    case 'order.status-changed':
      return orderChanged(event.data as OrderStatusChanged);
    default:
      return undefined;
  }
}

function welcome(userId: number): Message {
  return {
    userId,
    subject: 'Welcome to Millrace',
    body: 'your account is ready. From now on we will write to this address about your orders.',
  };
}

function orderReceived({ orderId, userId, totalAmount, items }: OrderCreated): Message {
  const lines = items.slice(0, 20).map((item) => `  ${item.quantity} x ${oneLine(item.productName, 80)}`);
  if (items.length > lines.length) lines.push(`  and ${items.length - lines.length} more`);
  return {
    userId,
    subject: `Order ${orderId} received`,
    body: `we have received your order ${orderId} over ${totalAmount.toFixed(2)}:\n\n${lines.join('\n')}\n\nWe will write when it is confirmed.`,
  };
}

function orderChanged({ orderId, userId, status }: OrderStatusChanged): Message {
  const { subject, sentence } = statusTexts[status];
  return { userId, subject: `Order ${orderId} ${subject}`, body: `your order ${orderId} ${sentence}` };
}

/** The whole text of a message as it is sent. */
export function letter(body: string, firstName: string): string {
  const name = oneLine(firstName, 100);
  return `${name === '' ? 'Hello' : `Hello ${name}`},\n\n${body}\n\nMillrace\n`;
}
