import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { encodeHeaders } from '#platform/contract';
import { decodeEvent } from '#contracts/index.ts';
import { Health } from '#platform/health';
import { Inbox } from '#platform/inbox';
import { createKafka } from '#platform/kafka';
import type { Kafka } from '#platform/kafka';
import { createLogger } from '#platform/telemetry';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { applyEvents } from './intake.ts';
import { startTestSmtp } from '#test/smtp.ts';
import { rows, settled, startSender } from './testing.ts';
import { eventually } from '#test/eventually.ts';

const log = createLogger('notifications', 'silent');
const at = '2026-01-01T00:00:00.000Z';

describe('from Kafka to the mailbox', () => {
  let database: TestDatabase;
  let kafka: Kafka;
  let topic: string;
  let group: string;

  before(async () => {
    database = await createTestDatabase('notifications');
    kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'notifications-test', log });
    topic = await uniqueTopic('notifications', 2);
    group = topic;
  });
  after(async () => {
    await kafka.close();
    await database.drop();
  });

  async function publish(type: string, id: string, key: string, data: object): Promise<void> {
    const producer = await kafka.producer();
    const headers = encodeHeaders({ id, type, source: `/${type.split('.')[0]}s`, subject: key, time: new Date() });
    const message = { key, value: Buffer.from(JSON.stringify(data)), headers };
    await producer.send(topic, await producer.partitionFor(topic, key), [message]);
  }

  function startInbox(onCommitted: () => void): Inbox {
    const inbox = new Inbox({
      group,
      topics: [topic],
      pool: database.pool,
      kafka,
      log,
      health: new Health(),
      decode: decodeEvent,
      handle: (tx, events) => applyEvents(tx, events, Number.POSITIVE_INFINITY),
      onCommitted,
    });
    inbox.start();
    return inbox;
  }

  it('sends one mail per event, although it is published twice and read again by the next process', async () => {
    const user = {
      userId: 1,
      username: 'ada',
      email: 'ada@example.com',
      firstName: 'Ada',
      lastName: 'Lovelace',
      status: 'ACTIVE',
      version: 1,
      createdAt: at,
      updatedAt: at,
    };
    const items = [{ productId: 5, productName: 'Kettle', quantity: 1, unitPrice: 10, totalPrice: 10 }];
    const order = {
      userId: 1,
      status: 'PENDING',
      totalAmount: 10,
      items,
      shippingAddress: null,
      notes: null,
      createdAt: at,
    };
    const publishOrder = (orderId: number) =>
      publish('order.created', `order-${orderId}-1`, String(orderId), { ...order, orderId });
    const all = async (count: number) => (await rows(database.pool)).length === count;

    const sink = await startTestSmtp();
    const sender = startSender(database.pool, sink.url);
    const first = startInbox(() => sender.wake());
    await publishOrder(1); // before its user is known
    await publish('user.created', 'user-1-1', '1', user);
    await publish('user.created', 'user-1-1', '1', user);
    await publishOrder(1);
    await eventually(() => all(2));
    await first.stop();

    await database.pool.query('UPDATE millrace.inbox_offsets SET next_offset = 0'); // as if its commits had been lost
    const second = startInbox(() => sender.wake());
    await publishOrder(2);
    await eventually(() => all(3));
    await settled(database.pool);
    await second.stop();
    await sender.stop();
    await sink.close();

    assert.deepEqual(sink.mails.map((mail) => mail.messageId).toSorted(), [
      '<order-1-1@millrace.example>',
      '<order-2-1@millrace.example>',
      '<user-1-1@millrace.example>',
    ]);
    assert.ok((await rows(database.pool)).every((row) => row.status === 'SENT'));
  });
});
