import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { databaseUrl } from '#local/databases.ts';
import type { Dashboard } from '#contracts/analytics.ts';
import type { Notification } from '#contracts/notifications.ts';
import type { Order } from '#contracts/orders.ts';
import type { User } from '#contracts/users.ts';
import { createKafka } from '#platform/kafka';
import type { Kafka } from '#platform/kafka';
import { configureTopic } from '#platform/kafka/testing/administer.ts';
import { readTopic } from '#platform/kafka/testing/read-topic.ts';
import { withClient } from '#platform/postgres';
import { createLogger } from '#platform/telemetry';
import type { Alert } from '#streams/contract';
import { untilPasses } from '#test/eventually.ts';
import { clientOf, newOrder, newUser } from './client.ts';
import type { PlatformUnderTest } from './under-test.ts';

/** in which the broker compresses what it gets, as another producer would */
const codecs = ['gzip', 'snappy', 'lz4', 'zstd'];
/** an order of two pieces at this price has an alert */
const price = 600;

/** What Kafka has for the platform, and the platform for Kafka, that is not as usual. */
export function kafka(platform: PlatformUnderTest): void {
  describe('the platform and its Kafka', () => {
    let reader: Kafka;
    before(() => {
      const log = createLogger('platform-test', 'silent');
      reader = createKafka({ brokers: platform.brokers.split(','), clientId: 'platform-test', log });
    });
    after(() => reader.close());

    const compress = (topic: string, codec: string) =>
      configureTopic(topic, { name: 'compression.type', value: codec }, platform.brokers);

    test('orders in batches of each codec are in the read model, the mails, the windows and the alerts', async () => {
      const gateway = clientOf(`${platform.gateway}/api`);
      const user = (await gateway.call<User>('POST', '/users', newUser('codec'))).body;
      const { revenueToday } = (await gateway.call<Dashboard>('GET', '/analytics/dashboard')).body;
      const ids: number[] = [];
      for (const codec of codecs) {
        await compress('order-events', codec);
        const { body } = await gateway.call<Order>('POST', '/orders', newOrder(user.id, price));
        ids.push(body.id);
        const read = await gateway.call<Order>('GET', `/orders/${body.id}?minVersion=1`);
        assert.equal(read.status, 200, codec);
      }
      await compress('order-events', 'producer');
      await untilPasses(async () => {
        const { body } = await gateway.call<Notification[]>('GET', `/notifications/user/${user.id}`);
        assert.deepEqual(body.map(({ type, status }) => `${type} ${status}`).toSorted(), [
          ...ids.map(() => 'order.created SENT'),
          'user.created SENT',
        ]);
      });
      await untilPasses(async () => {
        const { body } = await gateway.call<Dashboard>('GET', '/analytics/dashboard');
        assert.ok(body.revenueToday >= revenueToday + ids.length * 2 * price, String(body.revenueToday));
        const alerts = (await gateway.call<Alert[]>('GET', '/analytics/alerts?type=high-value-order')).body;
        for (const id of ids)
          assert.equal(alerts.filter(({ key }) => key === String(id)).length, 1, `the alert of order ${id}`);
      });
    });

    test('an event for a topic that is not there is named, and holds up no alert', async () => {
      const gateway = clientOf(`${platform.gateway}/api`);
      const analytics = clientOf(platform.analytics);
      const database = databaseUrl(platform.postgres, 'analytics');
      await withClient(database, (client) =>
        client.query(`INSERT INTO millrace.outbox (topic, key, event_id, type, source, data)
          VALUES ('gone', '1', 'gone-1', 'something.happened', '/somebody', '{}')`),
      );
      try {
        await untilPasses(async () => {
          const { status, body } = await analytics.call<{ checks: Record<string, { reason?: string }> }>(
            'GET',
            '/health',
          );
          assert.equal(status, 503);
          assert.match(body.checks['outbox analytics']?.reason ?? '', /^1 events? of gone since \S+Z: /);
        });
        const metrics = (await analytics.call<string>('GET', '/metrics')).body;
        assert.match(metrics, /^millrace_outbox_parked\{[^}]*topic="gone"[^}]*\} 1$/m);
        const user = (await gateway.call<User>('POST', '/users', newUser('gone'))).body;
        const { id } = (await gateway.call<Order>('POST', '/orders', newOrder(user.id, price))).body;
        await readTopic(
          reader,
          'analytics-alerts',
          (messages) => messages.some(({ value }) => (JSON.parse(String(value)) as Alert).key === String(id)),
          `the alert of order ${id}`,
        );
      } finally {
        await withClient(database, (client) => client.query(`DELETE FROM millrace.outbox_parked WHERE topic = 'gone'`));
      }
      await untilPasses(async () => assert.equal((await analytics.call('GET', '/health')).status, 200), 60_000);
    });
  });
}
