import { users } from '#contracts/users.ts';
import { loadConfig } from '#platform/config';
import { createHttp } from '#platform/http';
import { createKafka, kafkaConnection } from '#platform/kafka';
import { OutboxRelay } from '#platform/outbox';
import { createPool, ping } from '#platform/postgres';
import { runService } from '#platform/lifecycle';
import { configSchema } from './config.ts';
import { userEvents } from './events.ts';
import { createHandlers } from './handlers.ts';
import { UserStore } from './store.ts';

await runService('users', async (service) => {
  const { log, health } = service;
  const config = loadConfig(configSchema);

  const pool = createPool({ name: 'users', url: config.DATABASE_URL, max: config.DATABASE_POOL_SIZE, log });
  service.onStop('database', () => pool.end());
  health.addReadiness('database', () => ping(pool));

  const store = new UserStore(pool);
  service.onStop('store', () => store.close());

  const kafka = createKafka({ ...kafkaConnection(config), clientId: 'users', log });
  service.onStop('kafka', () => kafka.close());

  const relay = new OutboxRelay({ name: 'users', pool, kafka, log, health, own: userEvents });
  relay.start();
  service.onStop('outbox relay', () => relay.stop());

  const handlers = createHandlers(store, () => relay.wake());
  const http = createHttp({ contract: users, handlers, health, log, beforeCommand: () => relay.assertNotBehind() });
  const port = await http.listen(config.PORT, config.HOST, config.TRUSTED_HOSTS);
  service.onStop('http', () => http.close());
  log.info({ port }, 'listening');
});
