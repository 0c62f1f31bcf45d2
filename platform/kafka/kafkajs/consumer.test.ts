import assert from 'node:assert/strict';
import { it, mock } from 'node:test';
import type { Consumer, ConsumerRunConfig, EachBatchPayload } from 'kafkajs';
import { createLogger } from '#platform/telemetry';
import { KafkaJsConsumer } from './consumer.ts';
import { FetchedBatch } from './fetched-batch.ts';

const at = { topic: 'orders', partition: 3 };
const log = createLogger('consumer-test', 'silent');

it('a consumer says which partition has failed for 5 s, until it fails no more', async (t) => {
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  const on = mock.fn<(event: string, listener: (event: { payload: object }) => void) => void>();
  const running = Promise.withResolvers<NonNullable<ConsumerRunConfig['eachBatch']>>();
  const nothing = () => Promise.resolve();
  const run = ({ eachBatch }: ConsumerRunConfig) => {
    running.resolve(eachBatch!);
    return Promise.resolve();
  };
  const kafkajsConsumer = {
    on,
    run,
    connect: nothing,
    subscribe: nothing,
    disconnect: nothing,
    paused: () => [],
  } as unknown as Consumer;
  const consumer = new KafkaJsConsumer(
    () => kafkajsConsumer,
    { topicId: () => Promise.resolve(undefined) },
    { group: 'g', topics: [at.topic], from: 'earliest', onBatch: () => Promise.resolve(true) },
    log,
  );
  t.after(() => consumer.stop());
  const emit = (event: string, payload: object) => {
    for (const { arguments: call } of on.mock.calls) if (call[0] === event) call[1]({ payload });
  };
  consumer.start();
  const eachBatch = await running.promise;
  emit('consumer.group_join', { memberAssignment: { [at.topic]: [at.partition] } });
  const fails = async (atMs: number) => {
    now = atMs;
    emit('consumer.heartbeat', {});
    const fetched = { ...at, highWatermark: '-1', abortedTransactions: null, failure: new Error('the disk is gone') };
    const batch = new FetchedBatch(at.topic, '5', { ...fetched, messages: { messages: [], nextOffset: 5n } });
    assert.ok(!batch.isEmpty(), 'kafkajs hands it over');
    await eachBatch({ batch } as unknown as EachBatchPayload);
  };
  await fails(1_000);
  await fails(5_000);
  consumer.checkJoined();
  await fails(7_000);
  assert.throws(() => consumer.checkJoined(), { code: 'ERR_KAFKA_PARTITION', message: /orders\/3: the disk is gone/ });
  now = 17_500;
  emit('consumer.heartbeat', {});
  consumer.checkJoined();
});

it('a batch without a message for consumers moves the position to its end', () => {
  const fetched = { partition: 3, highWatermark: '30', abortedTransactions: null };
  const passed = new FetchedBatch('orders', '5', { ...fetched, messages: { messages: [], nextOffset: 20n } });
  assert.deepEqual([passed.isEmptyDueToFiltering(), passed.lastOffset(), passed.offsetLag()], [true, '19', '10']);
  const nothing = new FetchedBatch('orders', '5', { ...fetched, messages: { messages: [], nextOffset: 5n } });
  assert.deepEqual([nothing.isEmpty(), nothing.isEmptyDueToFiltering()], [true, false]);
});
