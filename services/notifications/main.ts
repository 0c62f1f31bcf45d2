import { notifications } from '#contracts/notifications.ts';
import { decodeEvent } from '#contracts/index.ts';
import { consumptionOf } from '#platform/declarations';
import { createHttp } from '#platform/http';
import { consumerPart, Inbox } from '#platform/inbox';
import { createKafka, kafkaConnection } from '#platform/kafka';
import { OutboxRelay } from '#platform/outbox';
import { createPool, ping } from '#platform/postgres';
import { runService } from '#platform/lifecycle';
import { Archive } from './archive.ts';
import { loadSettings } from './config.ts';
import { Deliveries } from './deliveries.ts';
import { createHandlers } from './handlers.ts';
import { applyEvents } from './intake.ts';
import { observeBacklog } from './metrics.ts';
import { createTidier } from './retention.ts';
import { MailSender } from './sender.ts';
import { SmtpClient } from './smtp.ts';

await runService('notifications', async (service) => {
  const { log, health } = service;
  const config = loadSettings();

  const pool = createPool({ name: 'notifications', url: config.DATABASE_URL, max: config.DATABASE_POOL_SIZE, log });
  service.onStop('database', () => pool.end());
  health.addReadiness('database', () => ping(pool));
  const archive = new Archive(pool);
  service.onStop('archive', () => archive.close());
  const tidier = createTidier(pool, config.NOTIFICATION_RETENTION_DAYS, log);
  tidier.start();
  service.onStop('retention', () => tidier.stop());

  const kafka = createKafka({ ...kafkaConnection(config), clientId: 'notifications', log });
  service.onStop('kafka', () => kafka.close());

  // the outbox publishes dead letters
  const relay = new OutboxRelay({ name: 'notifications', pool, kafka, log, health });
  relay.start();
  service.onStop('outbox relay', () => relay.stop());

  // The SMTP server does not affect readiness: without it, the service still stores and shows notifications.
  const smtp = new SmtpClient({ url: config.SMTP_URL });
  service.onStop('smtp', async () => smtp.close());
  const deliveries = new Deliveries(pool);
  observeBacklog(deliveries);
  const sender = new MailSender({
    deliveries,
    smtp,
    from: { name: 'Millrace', address: config.MAIL_FROM },
    concurrency: config.SMTP_CONNECTIONS,
    maxAgeMs: config.MAIL_MAX_AGE_HOURS * 3_600_000,
    log,
  });
  health.addWork('mails', () => sender.check());
  sender.start();
  service.onStop('sender', () => sender.stop());

  const consumption = consumptionOf('notifications');
  const inbox = new Inbox({
    ...consumption,
    pool,
    kafka,
    log,
    health,
    recreatedTopics: config.KAFKA_RECREATED_TOPICS,
    decode: decodeEvent,
    handle: (tx, events) => applyEvents(tx, events, config.MAIL_MAX_AGE_HOURS * 3_600_000),
    onCommitted: () => sender.wake(),
    lingerMs: 100, // mails may lag by a tenth of a second
  });
  inbox.start();
  service.onStop('inbox', () => inbox.stop());

  const handlers = createHandlers(archive);
  const http = createHttp({
    contract: notifications,
    handlers,
    health,
    log,
    part: consumerPart({ ...consumption, pool, kafka }),
  });
  const port = await http.listen(config.PORT, config.HOST, config.TRUSTED_HOSTS);
  service.onStop('http', () => http.close());
  log.info({ port }, 'listening');
});
