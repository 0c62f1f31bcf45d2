import { randomUUID } from 'node:crypto';
import { after, afterEach, before, beforeEach, mock } from 'node:test';
import type { ReceivedEvent } from '#platform/contract';
import { createLogger } from '#platform/telemetry';
import { createPool, transaction } from '#platform/postgres';
import type { Pool } from '#platform/postgres';
import { startCuttingProxy } from '#platform/postgres/testing.ts';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { startTestSmtp } from '#test/smtp.ts';
import type { TestSmtpOptions } from '#test/smtp.ts';
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
  const smtp = new SmtpClient({ url });
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

/** A database for the suite that calls it, empty for each test, with SMTP servers and senders that end with the test. */
export function mailStand() {
  let database: TestDatabase;
  const cleanup: (() => Promise<void>)[] = [];

  before(async () => {
    database = await createTestDatabase('notifications');
  });
  after(() => database.drop());
  beforeEach(() => database.pool.query('TRUNCATE notifications, deliveries, recipients RESTART IDENTITY'));
  afterEach(async () => {
    for (const step of cleanup.splice(0).toReversed()) await step();
  });

  return {
    get database() {
      return database;
    },
    /** what is done when the test ends, the last first */
    cleanup,
    async sink(options: TestSmtpOptions = {}) {
      const started = await startTestSmtp(options);
      cleanup.push(() => started.close());
      return started;
    },
    sender(url: string, options: Partial<MailSenderOptions> = {}, pool = database.pool) {
      const started = startSender(pool, url, options);
      cleanup.push(() => started.stop());
      return started;
    },
    /** A pool whose connections break as the test says. */
    async cuttingPool() {
      const proxy = await startCuttingProxy(database.url);
      const pool = createPool({ name: 'mails-cut', url: proxy.url, max: 2, log: createLogger('test', 'silent') });
      cleanup.push(
        () => proxy.close(),
        () => pool.end(),
      );
      return { proxy, pool };
    },
    /** The first notification. */
    first: async (): Promise<Row> => (await rows(database.pool))[0]!,
  };
}
