import { analyticsOperations } from '#contracts/analytics.ts';
import { InvalidEvent } from '#contracts/cloudevents.ts';
import { ConfigError, loadConfig } from '#kit/config.ts';
import { consumptionOf, streamQueryFiles, topics } from '#kit/declarations.ts';
import { createHttp } from '#kit/http.ts';
import { Inbox } from '#kit/inbox/inbox.ts';
import { kafkaConnection } from '#kit/kafka/config.ts';
import { createKafka } from '#kit/kafka/port.ts';
import { OutboxRelay } from '#kit/outbox/relay.ts';
import { createPool, ping } from '#kit/pg.ts';
import { runService } from '#kit/service.ts';
import { createHandlers } from './api/handlers.ts';
import { LiveFeed } from './api/live.ts';
import { configSchema } from './config.ts';
import { QueryFilesError, loadQueries } from './query/load.ts';
import type { StreamQuery } from './query/stream-query.ts';
import { registerQueries } from './store/registry.ts';
import { Engine } from './work/engine.ts';
import { StreamObserver } from './work/observer.ts';
import { StatusBoard } from './work/status.ts';
import { createWorkers } from './work/workers.ts';

await runService('analytics', async (service) => {
  const { log, health } = service;
  const config = loadConfig(configSchema);
  const consumption = consumptionOf('analytics');
  const queries = declaredQueries(consumption.topics);

  const pool = createPool({ name: 'analytics', url: config.DATABASE_URL, max: config.DATABASE_POOL_SIZE, log });
  service.onStop('database', () => pool.end());
  health.addReadiness('database', () => ping(pool));

  const kafka = createKafka({ ...kafkaConnection(config), clientId: 'analytics', log });
  service.onStop('kafka', () => kafka.close());

  const relay = new OutboxRelay({ pool, kafka, log });
  relay.start();
  service.onStop('outbox relay', () => relay.stop());

  const { group } = consumption;
  const engine = new Engine({ group, pool, plans: await registerQueries(pool, queries) });
  const observer = new StreamObserver({ admin: kafka.admin, pool, group, topics: () => consumption.topics });
  const board = new StatusBoard({ pool, observer, plans: () => engine.plans });
  const workers = createWorkers({ pool, log, engine, observer, board, onEmitted: () => relay.wake() });
  for (const worker of workers) worker.start();
  service.onStop('workers', async () => {
    await Promise.all(workers.map((worker) => worker.stop()));
  });

  const inbox = new Inbox({
    group,
    topics: consumption.topics,
    pool,
    kafka,
    log,
    health,
    handle: (tx, events) => engine.handle(tx, events),
    accumulator: engine,
    read: unreadJson,
    maxBatch: 250,
    sessionMs: 4_000, // figures go on soon after a worker was lost
    restMs: 100, // figures may be a tenth of a second old
    onCommitted: () => relay.wake(),
  });
  inbox.start();
  service.onStop('inbox', () => inbox.stop());

  const live = new LiveFeed({ pool, log });
  const handlers = createHandlers({ pool, plans: () => engine.plans, board, live });
  const http = createHttp({ service: 'analytics', operations: analyticsOperations, handlers, health, log });
  const port = await http.listen(config.PORT, config.HOST);
  service.onStop('http', () => http.close());
  service.onStop('live streams', () => live.stop()); // before http, which waits for every answer to end
  log.info({ port, queries: queries.length }, 'listening');
});

/** Leaves JSON as it is: the queries read what they need of it. @throws InvalidEvent where it is no object */
function unreadJson(value: Buffer): Buffer {
  if (value[0] === 0x7b && value.at(-1) === 0x7d) return value;
  throw new InvalidEvent('the value is no JSON object');
}

/** The declared queries, each of which reads what this service consumes. @throws ConfigError with every mistake */
function declaredQueries(consumed: readonly string[]): StreamQuery[] {
  try {
    const queries = loadQueries(streamQueryFiles(), new Set(topics().map(({ name }) => name)));
    const deaf = queries.filter(({ from }) => from.some(({ topic }) => !consumed.includes(topic)));
    if (deaf.length === 0) return queries;
    throw new ConfigError(deaf.map(({ name }) => `${name} reads a topic that analytics does not consume`));
  } catch (error) {
    if (!(error instanceof QueryFilesError)) throw error;
    throw new ConfigError(error.faults.map(({ file, line, message }) => `${file}:${line}: ${message}`));
  }
}
