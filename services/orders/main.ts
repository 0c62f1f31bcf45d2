import { decodeEvent } from '#contracts/index.ts';
import { loadConfig } from '#platform/config';
import { consumptionOf } from '#platform/declarations';
import { consumerPart, Inbox } from '#platform/inbox';
import { createKafka, kafkaConnection } from '#platform/kafka';
import { OutboxRelay } from '#platform/outbox';
import { createPool, ping } from '#platform/postgres';
import { runService } from '#platform/lifecycle';
import { createOrdersApp } from './app.ts';
import { createKeyCleaner } from './commands/idempotency.ts';
import { orderEvents } from './commands/events.ts';
import { configSchema } from './config.ts';
import { processOrderEvents, projectionTables } from './projection/order-event-processor.ts';
import { Rebuilder } from '#platform/projection';
import { UserServiceClient } from './users/client.ts';
import { forgetChangedUsers } from './users/changed-users.ts';

// Readiness depends only on the databases: without Kafka or users, orders still answers most requests, and 503 for the
// others.
await runService('orders', async ({ log, health, onStop }) => {
  const config = loadConfig(configSchema);

  const max = config.DATABASE_POOL_SIZE;
  const writePool = createPool({ name: 'orders', url: config.DATABASE_URL, max, log });
  onStop('write database', () => writePool.end());
  health.addReadiness('write database', () => ping(writePool));
  const readPool = createPool({ name: 'orders-read', url: config.READ_DATABASE_URL, max, log });
  onStop('read database', () => readPool.end());
  health.addReadiness('read database', () => ping(readPool));

  const cleaner = createKeyCleaner(writePool, log);
  cleaner.start();
  onStop('idempotency keys', () => cleaner.stop());

  const kafka = createKafka({ ...kafkaConnection(config), clientId: 'orders', log });
  onStop('kafka', () => kafka.close());

  // the event store is the outbox of the commands
  const relay = new OutboxRelay({
    name: 'orders',
    pool: writePool,
    kafka,
    log,
    health,
    source: 'outbox',
    own: orderEvents,
  });
  // the outbox of the consumer's database publishes dead letters
  const deadLetterRelay = new OutboxRelay({ name: 'orders-read', pool: readPool, kafka, log, health });

  const users = new UserServiceClient({ url: config.USERS_URL, log });
  onStop('users client', () => users.close());
  const userEvents = forgetChangedUsers({ kafka, users, log });
  onStop('user events', () => userEvents.stop());

  const consumption = consumptionOf('orders');
  const app = createOrdersApp({
    writePool,
    readPool,
    users,
    health,
    log,
    wakeRelay: () => relay.wake(),
    beforeCommand: () => relay.assertNotBehind(),
    part: consumerPart({ ...consumption, pool: readPool, kafka }),
  });

  const inbox = new Inbox({
    ...consumption,
    pool: readPool,
    kafka,
    log,
    health,
    recreatedTopics: config.KAFKA_RECREATED_TOPICS,
    decode: decodeEvent,
    handle: processOrderEvents,
    onCommitted: () => app.projected(),
  });
  inbox.start();
  onStop('projection', () => inbox.stop());

  const rebuilder = new Rebuilder({
    ...consumption,
    decode: decodeEvent,
    handle: processOrderEvents,
    tables: projectionTables,
    url: config.READ_DATABASE_URL,
    kafka,
    log,
    onSwitched: () => app.projected(),
  });
  rebuilder.start();
  onStop('rebuild of the projection', () => rebuilder.stop());

  // stops before the consumers, which may wait for their group: other replicas take over the shards at once
  for (const [step, one] of [
    ['outbox relay', relay],
    ['dead letter relay', deadLetterRelay],
  ] as const) {
    one.start();
    onStop(step, () => one.stop());
  }

  onStop('commands', () => app.drain());
  const port = await app.http.listen(config.PORT, config.HOST, config.TRUSTED_HOSTS);
  onStop('http', () => app.http.close());
  log.info({ port }, 'listening');
});
