import { __camel__ } from '#contracts/__name__.ts';
//? consumes
import { decodeEvent } from '#contracts/index.ts';
//? end
import { loadConfig } from '#platform/config';
//? consumes
import { consumptionOf } from '#platform/declarations';
//? end
import { createHttp } from '#platform/http';
//? consumes
import { consumerPart, Inbox } from '#platform/inbox';
//? end
import { createKafka, kafkaConnection } from '#platform/kafka';
import { runService } from '#platform/lifecycle';
import { OutboxRelay } from '#platform/outbox';
import { createPool, ping } from '#platform/postgres';
import { configSchema } from './config.ts';
import { createHandlers } from './handlers.ts';
//? consumes
import { project } from './projection.ts';
//? end
import { __Entity__Store } from './store.ts';

await runService('__name__', async (service) => {
  const { log, health } = service;
  const config = loadConfig(configSchema);

  const pool = createPool({ name: '__name__', url: config.DATABASE_URL, max: config.DATABASE_POOL_SIZE, log });
  service.onStop('database', () => pool.end());
  health.addReadiness('database', () => ping(pool));

  const kafka = createKafka({ ...kafkaConnection(config), clientId: '__name__', log });
  service.onStop('kafka', () => kafka.close());

  const relay = new OutboxRelay({ name: '__name__', pool, kafka, log, health });
  relay.start();
  service.onStop('outbox relay', () => relay.stop());
  //? consumes

  const consumption = consumptionOf('__name__');
  const inbox = new Inbox({
    ...consumption,
    pool,
    kafka,
    log,
    health,
    recreatedTopics: config.KAFKA_RECREATED_TOPICS,
    decode: decodeEvent,
    handle: project,
  });
  inbox.start();
  service.onStop('inbox', () => inbox.stop());
  //? end

  const handlers = createHandlers(new __Entity__Store(pool), () => relay.wake());
  const http = createHttp({
    contract: __camel__,
    handlers,
    health,
    log,
    //? consumes
    part: consumerPart({ ...consumption, pool, kafka }),
    //? end
  });
  const port = await http.listen(config.PORT, config.HOST, config.TRUSTED_HOSTS);
  service.onStop('http', () => http.close());
  log.info({ port }, 'listening');
});
