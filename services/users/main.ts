import { users } from '#contracts/users.ts';
import { loadConfig } from '#kit/config.ts';
import { createHttp } from '#kit/http.ts';
import { kafkaConnection } from '#kit/kafka/config.ts';
import { createKafka } from '#kit/kafka/port.ts';
import { OutboxRelay } from '#kit/outbox/relay.ts';
import { createPool, ping } from '#kit/pg.ts';
import { runService } from '#kit/service.ts';
import { configSchema } from './config.ts';
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

  const relay = new OutboxRelay({ pool, kafka, log });
  relay.start();
  service.onStop('outbox relay', () => relay.stop());

  const handlers = createHandlers(store, () => relay.wake());
  const http = createHttp({ contract: users, handlers, health, log });
  const port = await http.listen(config.PORT, config.HOST);
  service.onStop('http', () => http.close());
  log.info({ port }, 'listening');
});
