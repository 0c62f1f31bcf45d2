import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { letter, messageFor } from './templates.ts';
import { oneLine } from './text.ts';

const order = {
  orderId: 7,
  userId: 3,
  status: 'PENDING',
  totalAmount: 59.9,
  items: [{ productId: 5, productName: 'Kettle', quantity: 2, unitPrice: 29.95, totalPrice: 59.9 }],
  shippingAddress: 'Analytical Lane 1',
  notes: null,
  createdAt: '2026-01-01T00:00:00.000Z',
};

describe('messages', () => {
  it('welcome a new user, without personal data', () => {
    const data = { userId: 3, username: 'ada', email: 'ada@example.com', firstName: 'Ada', lastName: 'Lovelace' };
    const message = messageFor({ type: 'user.created', data });
    assert.equal(message?.userId, 3);
    assert.equal(message.subject, 'Welcome to Millrace');
    assert.doesNotMatch(message.body, /ada|lovelace/i);
  });

  it('tell of a new order, with its lines and not its address', () => {
    const message = messageFor({ type: 'order.created', data: order });
    assert.equal(message?.subject, 'Order 7 received');
    assert.equal(
      message.body,
      'we have received your order 7 over 59.90:\n\n  2 x Kettle\n\nWe will write when it is confirmed.',
    );
  });

  it('keep long orders short', () => {
    const items = Array.from({ length: 25 }, () => ({ ...order.items[0], productName: 'K\r\n'.repeat(100) }));
    const body = messageFor({ type: 'order.created', data: { ...order, items } })!.body;
    assert.match(body, /\n {2}and 5 more\n/);
    assert.doesNotMatch(body, /\r/);
    assert.ok(body.length < 2_500);
  });

  for (const [status, subject] of [
    ['PENDING', 'Order 7 is pending'],
    ['CONFIRMED', 'Order 7 is confirmed'],
    ['SHIPPED', 'Order 7 is on its way'],
    ['DELIVERED', 'Order 7 was delivered'],
    ['CANCELLED', 'Order 7 was cancelled'],
  ]) {
    it(`tell of an order that is ${status}`, () => {
      assert.equal(
        messageFor({ type: 'order.status-changed', data: { orderId: 7, userId: 3, status } })?.subject,
        subject,
      );
    });
  }

  it('are not made for other events', () => {
    for (const type of ['user.updated', 'user.deleted', 'order.deleted', 'metric.updated', 'of.tomorrow']) {
      assert.equal(messageFor({ type, data: {} }), undefined);
    }
  });

  it('start with a salutation of one line', () => {
    assert.equal(letter('all is well.', 'Ada'), 'Hello Ada,\n\nall is well.\n\nMillrace\n');
    assert.equal(letter('x', 'Ada\r\n\r\nYou have won'), 'Hello Ada You have won,\n\nx\n\nMillrace\n');
    assert.equal(letter('x', '\t'), 'Hello,\n\nx\n\nMillrace\n');
  });

  it('are cut between characters', () => {
    assert.equal(oneLine('🦊'.repeat(10), 6), '🦊🦊…');
    assert.equal(oneLine('\ud83e'), '\ufffd');
  });
});
