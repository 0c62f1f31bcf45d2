import { analytics } from '#contracts/analytics.ts';
import { contracts } from '#contracts/index.ts';
import { loadConfig } from '#platform/config';
import { consumptionOf } from '#platform/declarations';
import { createHttp } from '#platform/http';
import { consumerPart, Inbox } from '#platform/inbox';
import { createKafka, kafkaConnection } from '#platform/kafka';
import { OutboxRelay } from '#platform/outbox';
import { createPool, ping } from '#platform/postgres';
import { runService } from '#platform/lifecycle';
import { createHandlers } from './api/handlers.ts';
import { LiveFeed } from './api/live.ts';
import { configSchema } from './config.ts';
import { sourceFeed } from './domain/index.ts';
import { VersionSource } from '#streams/store';
import {
  Backfill,
  createWorkers,
  Engine,
  lazyDecoder,
  LiveQueries,
  sessionMs,
  StatusBoard,
  StreamObserver,
} from '#streams/runtime';

await runService('analytics', async (service) => {
  const { log, health } = service;
  const config = loadConfig(configSchema);
  const consumption = consumptionOf('analytics');

  const pool = createPool({ name: 'analytics', url: config.DATABASE_URL, max: config.DATABASE_POOL_SIZE, log });
  service.onStop('database', () => pool.end());
  health.addReadiness('database', () => ping(pool));

  const kafka = createKafka({ ...kafkaConnection(config), clientId: 'analytics', log });
  service.onStop('kafka', () => kafka.close());

  const relay = new OutboxRelay({ name: 'analytics', pool, kafka, log, health });
  relay.start();
  service.onStop('outbox relay', () => relay.stop());

  const { group } = consumption;
  const { admin } = kafka;
  const source = new VersionSource(group);
  const decode = lazyDecoder(contracts.events);
  const backfill = new Backfill({
    ...consumption,
    pool,
    kafka,
    log,
    health,
    recreatedTopics: config.KAFKA_RECREATED_TOPICS,
    source,
    decode,
    onCommitted: () => {
      queries.wake();
      relay.wake();
    },
  });
  const queries = new LiveQueries({
    ...consumption,
    pool,
    admin,
    log,
    health,
    source,
    follow: (versions) => backfill.follow(versions),
  });
  await queries.start();
  service.onStop('stream queries', async () => {
    await queries.stop();
    await backfill.stop();
  });
  const versions = () => queries.versions;

  const engine = new Engine({ group, pool, source, versions: versions(), feed: sourceFeed });
  const observer = new StreamObserver({ admin, pool, group, topics: () => consumption.topics });
  const board = new StatusBoard({ pool, observer, versions, faults: () => queries.faults });
  const workers = createWorkers({ pool, log, health, versions, observer, board, onEmitted: () => relay.wake() });
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
    recreatedTopics: config.KAFKA_RECREATED_TOPICS,
    handle: (tx, events) => engine.handle(tx, events),
    replay: (tx, events) => engine.replay(tx, events),
    accumulator: engine,
    decode,
    maxBatch: 250,
    sessionMs,
    lingerMs: 100, // figures may lag by a tenth of a second
    onCommitted: () => relay.wake(),
  });
  inbox.start();
  service.onStop('inbox', () => inbox.stop());

  const live = new LiveFeed({ pool, log });
  health.addWork('live stream', () => live.check());
  const handlers = createHandlers({ pool, plans: () => versions().serving, board, live, health });
  const http = createHttp({
    contract: analytics,
    handlers,
    health,
    log,
    part: consumerPart({ ...consumption, pool, kafka }),
  });
  const port = await http.listen(config.PORT, config.HOST, config.TRUSTED_HOSTS);
  service.onStop('http', () => http.close());
  service.onStop('live streams', () => live.stop()); // before http, which waits for the end of every response
  log.info({ port, queries: versions().serving.plans.length }, 'listening');
});
