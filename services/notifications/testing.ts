import { randomUUID } from 'node:crypto';
import { mock } from 'node:test';
import type { ReceivedEvent } from '#platform/contract';
import { createLogger } from '#platform/telemetry';
import { transaction } from '#platform/postgres';
import type { Pool } from '#platform/postgres';
import { eventually } from '#test/eventually.ts';
import { Deliveries } from './deliveries.ts';
import { applyEvents } from './intake.ts';
import { MailSender } from './sender.ts';
import type { MailSenderOptions } from './sender.ts';
import { SmtpClient } from './smtp.ts';

type EventInput = Pick<ReceivedEvent, 'id' | 'type' | 'data'> & Partial<ReceivedEvent>;

/** An event as the inbox delivers it. */
function received(event: EventInput): ReceivedEvent {
  return {
    source: '/tests',
    subject: '',
    time: Date.now(),
    topic: 'tests',
    partition: 0,
    offset: 0n,
    key: null,
    traceparent: undefined,
    ...event,
  };
}

/** The event of a user that has registered or changed. */
export function userEvent(userId: number, version = 1, name = `User${userId}`): ReceivedEvent {
  return received({
    id: `user-${userId}-${version}`,
    type: version === 1 ? 'user.created' : 'user.updated',
    data: { userId, version, email: `user${userId}@example.com`, firstName: name, lastName: 'Test' },
  });
}

export function userDeletedEvent(userId: number, version: number): ReceivedEvent {
  const data = { userId, version, deletedAt: new Date().toISOString() };
  return received({ id: `user-${userId}-${version}`, type: 'user.deleted', data });
}

export function orderEvent(orderId: number, userId: number): ReceivedEvent {
  const data = { orderId, userId, status: 'SHIPPED', previousStatus: 'CONFIRMED' };
  return received({ id: `order-${orderId}-3`, type: 'order.status-changed', data });
}

/** Delivers events to the service as the inbox does. */
export function give(pool: Pool, events: ReceivedEvent[], maxAgeMs = Number.POSITIVE_INFINITY): Promise<void> {
  return transaction(pool, (tx) => applyEvents(tx, events, maxAgeMs));
}

/** Lets time pass for the checks of health. */
export function later(ms: number) {
  const now = performance.now.bind(performance);
  return mock.method(performance, 'now', () => now() + ms);
}

/** A sender with short retry pauses. */
export function startSender(pool: Pool, url: string, options: Partial<MailSenderOptions> = {}) {
  const smtp = new SmtpClient({ url, connectTimeoutMs: 500 });
  const sender = new MailSender({
    deliveries: new Deliveries(pool, { owner: `test/${randomUUID()}` }),
    smtp,
    from: { name: 'Millrace', address: 'shop@millrace.example' },
    log: createLogger('notifications', 'silent'),
    maxAgeMs: Number.POSITIVE_INFINITY,
    pollMs: 10,
    backoff: { firstMs: 10, maxMs: 50 },
    ...options,
  });
  sender.start();
  return {
    wake: () => sender.wake(),
    check: () => sender.check(),
    async stop() {
      await sender.stop();
      smtp.close();
    },
  };
}

export interface Row {
  event_id: string;
  status: string;
  attempts: number;
  recipient: string | null;
  last_error: string | null;
  sent_at: Date | null;
}

export async function rows(pool: Pool): Promise<Row[]> {
  const { rows: found } = await pool.query<Row>(
    'SELECT event_id, status, attempts, recipient, last_error, sent_at FROM notifications ORDER BY id',
  );
  return found;
}

/** Waits until nothing is PENDING. */
export async function settled(pool: Pool): Promise<void> {
  await eventually(async () => {
    const { rowCount } = await pool.query('SELECT FROM deliveries LIMIT 1');
    return rowCount === 0;
  }, 'nothing is pending');
}

/** Makes all waiting notifications due now. */
export async function hurry(pool: Pool): Promise<void> {
  await pool.query('UPDATE deliveries SET due_at = now() WHERE due_at > now()');
}
