import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { trace } from '@opentelemetry/api';
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { createDecoder, readJson } from '#platform/contract';
import type { ReceivedEvent } from '#platform/contract';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { Health } from '#platform/health';
import { createKafka } from '#platform/kafka';
import type { Kafka } from '#platform/kafka';
import { eventually } from '#test/eventually.ts';
import { createLogger, SpanKind, SpanStatusCode } from '#platform/telemetry';
import { appendToOutbox, OutboxRelay } from '#platform/outbox';
import { transaction } from '#platform/postgres';
import { Inbox } from './inbox.ts';

const traceId = '0af7651916cd43dd8448eb211c80319c';
const rootId = 'b7ad6b7169203331';
const log = createLogger('trace-test', 'silent');

describe('the trace of an event', () => {
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  let database: TestDatabase;
  let kafka: Kafka;
  before(async () => {
    trace.setGlobalTracerProvider(provider);
    database = await createTestDatabase();
    kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'trace-test', log });
  });
  after(async () => {
    await kafka.close();
    await database.drop();
    await provider.shutdown();
  });

  it('goes from its row through Kafka to its effects, where it is recorded at all', async (t) => {
    const topic = await uniqueTopic('traced', 1);
    const event = (key: string, flags: string) => ({
      topic,
      key,
      eventId: `event-${key}`,
      type: 'test.happened',
      source: '/test',
      data: '{}',
      traceparent: `00-${traceId}-${rootId}-${flags}`,
    });
    const handled: ReceivedEvent[] = [];
    const relay = new OutboxRelay({ name: 'test', pool: database.pool, kafka, log, health: new Health() });
    const inbox = new Inbox({
      group: `group-${topic}`,
      topics: [topic],
      pool: database.pool,
      kafka,
      log,
      health: new Health(),
      decode: createDecoder(readJson),
      handle: (_, events) => {
        if (events.some(({ key }) => key === '3')) return Promise.reject(new Error('three'));
        handled.push(...events);
        return Promise.resolve();
      },
    });
    t.after(() => Promise.all([relay.stop(), inbox.stop()]));
    const since = Date.now();
    await transaction(database.pool, (tx) =>
      appendToOutbox(tx, [event('1', '01'), event('2', '00'), event('3', '01')]),
    );
    relay.start();
    inbox.start();
    const spans = await eventually(() => {
      const all = exporter.getFinishedSpans();
      return all.filter((span) => span.name === `process ${topic}`).length === 2 && all;
    }, 'the spans of two events');
    const find = (name: string, id: string) => {
      const span = spans.find((one) => one.name === name && one.attributes['messaging.message.id'] === id);
      assert.ok(span, `${name} of ${id}`);
      return span;
    };

    const published = find(`publish ${topic}`, 'event-1');
    assert.deepEqual(
      [published.kind, published.spanContext().traceId, published.parentSpanContext?.spanId],
      [SpanKind.PRODUCER, traceId, rootId],
    );
    assert.ok(published.startTime[0] * 1_000 >= since - 1_000, 'it begins with the commit');
    const processed = find(`process ${topic}`, 'event-1');
    assert.deepEqual(
      [processed.kind, processed.parentSpanContext?.spanId, processed.status.code],
      [SpanKind.CONSUMER, published.spanContext().spanId, SpanStatusCode.UNSET],
    );
    const effect = handled.find(({ key }) => key === '1');
    assert.equal(effect?.traceparent, `00-${traceId}-${processed.spanContext().spanId}-01`);

    assert.ok(!spans.some((span) => span.attributes['messaging.message.id'] === 'event-2'));
    assert.equal(handled.find(({ key }) => key === '2')?.traceparent, `00-${traceId}-${rootId}-00`);

    const failed = find(`process ${topic}`, 'event-3');
    assert.deepEqual([failed.status.code, failed.status.message], [SpanStatusCode.ERROR, 'Error: three']);
    const { rows } = await database.pool.query<{ traceparent: string }>(
      `SELECT traceparent FROM millrace.outbox WHERE topic LIKE '%.dead-letters'`,
    );
    assert.deepEqual(rows, [{ traceparent: `00-${traceId}-${failed.spanContext().spanId}-01` }]);
  });
});
