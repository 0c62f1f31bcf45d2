// Kafka is away under load: orders are accepted meanwhile, and soon after its return nothing waits any more.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { setInterval } from 'node:timers/promises';

import type { Order } from '#contracts/orders.ts';
import type { User } from '#contracts/users.ts';
import type { KafkaServer } from '#local/kafka.ts';
import { databaseNameOf, withClient } from '#platform/postgres';
import { untilPasses } from '#test/eventually.ts';
import { temporaryFolder } from '#test/npm-start.ts';
import { noOwnBroker, startOwnBroker } from '#test/own-broker.ts';
import { startPlatform, type Platform } from '#test/platform.ts';
import { freePort, freePortOffset } from '#test/ports.ts';
import { allowSeconds } from '#test/time-limit.ts';
import { clientOf, newOrder, newUser } from '../platform/client.ts';

allowSeconds(300); // it starts the whole platform

const awayMs = 20_000;
/** After this time from the moment when Kafka answers again, nothing waits. */
const recoveryMs = 10_000;
/** From one order to the next. */
const everyMs = 250;

describe('a Kafka that is away for 20 s', { skip: noOwnBroker ?? false }, () => {
  const [data, folder] = [temporaryFolder(), temporaryFolder()];
  let ports: { port: number; controllerPort: number };
  let broker: KafkaServer | undefined;
  let platform: Platform | undefined;
  const startBroker = async () => {
    broker = await startOwnBroker({ folder, ...ports });
  };
  before(async () => {
    ports = { port: await freePort(), controllerPort: await freePort() };
    await startBroker();
    const env = { KAFKA_BROKERS: `127.0.0.1:${ports.port}` };
    platform = await startPlatform({ portOffset: await freePortOffset(), data, env });
  });
  after(async () => {
    await platform?.stop();
    await broker?.stop();
    for (const own of [data, folder]) rmSync(own, { recursive: true, force: true });
  });

  const rowsOf = async (database: string, text: string) => {
    const url = new URL(platform!.postgres);
    url.pathname = `/${databaseNameOf(database)}`;
    return await withClient(url.href, async (client) => (await client.query<Record<string, number>>(text)).rows);
  };
  /** Fails while an event waits in the outbox, or one of these orders is missing in the read model. */
  const assertCaughtUp = async (orders: readonly number[]) => {
    const waiting = await rowsOf(
      'orders',
      `SELECT (SELECT count(*)::int FROM millrace.outbox_shards s
               JOIN outbox o ON o.shard = s.shard AND (o.xid, o.id) > (s.xid, s.id)) AS unpublished,
         (SELECT count(*)::int FROM millrace.outbox_parked) AS parked`,
    );
    assert.deepEqual(waiting, [{ unpublished: 0, parked: 0 }]);
    const projected = new Set((await rowsOf('orders-read', 'SELECT id::int FROM orders')).map(({ id }) => id));
    assert.deepEqual(
      orders.filter((id) => !projected.has(id)),
      [],
      'orders that are not projected',
    );
  };

  test('refuses no order, and 10 s after its return all are projected', async () => {
    const gateway = clientOf(`${platform!.url('gateway')}/api`);
    const { body: user } = await gateway.call<User>('POST', '/users', newUser('away'));
    const orders: number[] = [];
    const place = async () => {
      const { status, body } = await gateway.call<Order>('POST', '/orders', newOrder(user.id));
      assert.equal(status, 201, JSON.stringify(body));
      orders.push(body.id);
    };
    await place();
    await untilPasses(() => assertCaughtUp(orders));

    await broker!.stop();
    const until = performance.now() + awayMs;
    for await (const _ of setInterval(everyMs)) {
      if (performance.now() >= until) break;
      await place();
    }
    await assert.rejects(assertCaughtUp(orders), assert.AssertionError, 'nothing waits while Kafka is away');

    await startBroker();
    await untilPasses(() => assertCaughtUp(orders), recoveryMs);
    assert.ok(orders.length > awayMs / everyMs / 2, `${orders.length} orders`);
  });
});
