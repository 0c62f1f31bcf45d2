import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { brokerError } from '#platform/kafka/testing/fake-error.ts';
import { fakeKafka } from '#platform/kafka/testing/fake.ts';
import { FailingPartitions } from './failing-partitions.ts';
import { publish } from './publish.ts';
import { RecordBatchBuilder } from './record-batch.ts';
import { messagesOf } from './rows.ts';
import type { OutboxRow } from './rows.ts';
import { Tally } from './tally.ts';

/** How Kafka answers to a message. */
type Fate = 'taken' | 'too large';

interface Written {
  topic: string;
  key: string;
  fate: Fate;
}

const written: fc.Arbitrary<Written> = fc.record({
  topic: fc.constantFrom('a', 'b', 'gone'),
  key: fc.constantFrom('1', '2', '3', '4', '5'),
  fate: fc.constantFrom<Fate>('taken', 'taken', 'taken', 'taken', 'too large'),
});
const pack = fc.array(written, { minLength: 1, maxLength: 12 });

const base = { shard: 0, xid: 1, head: true, cut: false, type: 't', source: '/s', traceparent: null };

/** The rows of an outbox: single events, or record batches. The value of a message is its number and its fate. */
function rowsOf(packs: Written[][], isBatched: boolean): OutboxRow[] {
  let n = 0;
  let id = 0;
  const rows: OutboxRow[] = [];
  for (const events of packs) {
    for (const [topic, own] of Map.groupBy(events, (event) => event.topic)) {
      const builder = new RecordBatchBuilder({ topic, type: 't', source: '/s' });
      for (const { key, fate } of own) {
        const data = JSON.stringify({ n: (n += 1), fate });
        const rest = { ...base, id: (id += 1), topic, created_at: new Date() };
        if (isBatched) builder.add({ key, eventId: String(n), data });
        else rows.push({ ...rest, key, event_id: String(n), data: Buffer.from(data), headers: null });
      }
      for (const { key, eventId, data, headers } of builder.finish()) {
        const rest = { ...base, id: (id += 1), topic, created_at: new Date() };
        rows.push({ ...rest, key, event_id: eventId, data: data as Buffer, headers: headers! });
      }
    }
  }
  return rows;
}

/** The event in a message, or in a record batch of one record. */
const parsed = (value: Buffer) =>
  JSON.parse(/\{"n":\d+,"fate":"[^"]*"\}/.exec(value.toString('latin1'))![0]) as { n: number; fate: Fate };

describe('publish', () => {
  for (const isBatched of [false, true]) {
    it(`sends ${isBatched ? 'record batches' : 'rows'} but what Kafka refuses, and the later messages of its key`, () =>
      fc.assert(
        fc.asyncProperty(fc.array(pack, { maxLength: 6 }), async (packs) => {
          const { kafka, sent, failWith } = fakeKafka({ a: 3, b: 2 });
          failWith((_topic, _partition, messages) =>
            messages.some(({ value }) => parsed(value).fate === 'too large')
              ? brokerError('MESSAGE_TOO_LARGE')
              : undefined,
          );
          const rows = rowsOf(packs, isBatched);
          const settled: OutboxRow[] = [];
          const tally = new Tally();
          const producer = await kafka.producer();
          const { failure, refused } = await publish(rows, {
            producer,
            partitionsOf: producer.partitionsOf,
            failing: new FailingPartitions(),
            isRetry: false,
            isNumbered: false,
            onAppended: () => undefined,
            tally,
            now: Date.now,
            onPublished: (_topic, _messages, done) => settled.push(...done),
          });
          assert.equal(failure, undefined);
          settled.push(...refused.filter(({ row }) => tally.settle(row)).map(({ row }) => row.whole ?? row));
          assert.deepEqual(new Set(settled), new Set(rows));
          assert.equal(settled.length, rows.length, 'each row is settled once');
          const expected = { sent: new Set<number>(), refused: new Set<number>() };
          const held = new Set<string>();
          for (const { topic, key, data } of rows.flatMap(messagesOf)) {
            const { n, fate } = parsed(data);
            if (fate === 'too large') held.add(`${topic} ${key}`);
            expected[topic === 'gone' || held.has(`${topic} ${key}`) ? 'refused' : 'sent'].add(n);
          }
          const numbers = sent.map(({ message }) => parsed(message.value).n);
          assert.deepEqual(new Set(numbers), expected.sent);
          assert.equal(numbers.length, expected.sent.size, 'nothing twice');
          assert.deepEqual(
            new Set(refused.flatMap(({ row }) => messagesOf(row)).map(({ data }) => parsed(data).n)),
            expected.refused,
          );
          for (const own of Map.groupBy(sent, ({ topic, message }) => `${topic} ${message.key}`).values()) {
            const order = own.map(({ message }) => parsed(message.value).n);
            assert.deepEqual(
              order,
              order.toSorted((x, y) => x - y),
            );
          }
        }),
        { numRuns: 300 },
      ));
  }

  it('sends nothing more to a partition after a failure that can pass', async () => {
    const { kafka, sent, failWith } = fakeKafka({ a: 1, b: 1 });
    failWith((topic) => (topic === 'a' ? 'not now' : undefined));
    const events = (['a', 'b', 'a'] as const).map((topic): Written => ({ topic, key: '1', fate: 'taken' }));
    const producer = await kafka.producer();
    const { failure, refused } = await publish(rowsOf([events], false), {
      producer,
      partitionsOf: producer.partitionsOf,
      failing: new FailingPartitions(),
      isRetry: false,
      isNumbered: false,
      onAppended: () => undefined,
      tally: new Tally(),
      now: Date.now,
      onPublished: () => undefined,
    });
    assert.match(failure!.message, /not now/);
    assert.deepEqual(refused, []);
    assert.deepEqual(
      sent.map(({ topic }) => topic),
      ['b'],
    );
  });

  for (const isBatched of [false, true])
    it(`refuses ${isBatched ? 'record batches' : 'rows'} for a partition that has failed for long, and sends the others`, async () => {
      const { kafka, sent, failWith } = fakeKafka({ a: 2, b: 1 });
      const producer = await kafka.producer();
      const keys = ['1', '2', '3', '4', '5', '6'];
      const places = new Map<string, number>();
      for (const key of keys) places.set(key, await producer.partitionFor('a', key));
      assert.equal(new Set(places.values()).size, 2);
      const failing = new FailingPartitions();
      const since = performance.now() - 40_000; // an attempt is due
      const fail = (ms: number) => failing.failed({ topic: 'a', partition: 0 }, new Error('no leader'), since + ms);
      fail(0);
      for (const ms of [1, 20_000]) {
        failing.took({ topic: 'b', partition: 0 }, since + ms);
        fail(ms + 1);
      }
      let attempts = 0;
      failWith((topic, partition) => {
        if (topic !== 'a' || partition !== 0) return undefined;
        attempts += 1;
        return brokerError('LEADER_NOT_AVAILABLE');
      });
      const events = ['a', 'b', 'a'].flatMap((topic) => keys.map((key): Written => ({ topic, key, fate: 'taken' })));
      const rows = rowsOf([events], isBatched);
      const isBad = ({ topic, key }: OutboxRow) => topic === 'a' && places.get(key) === 0;
      const all = rows.flatMap(messagesOf);
      for (const isRetry of [false, true]) {
        const before = sent.length;
        const tally = new Tally();
        const settled: OutboxRow[] = [];
        const { failure, refused } = await publish(rows, {
          producer,
          partitionsOf: producer.partitionsOf,
          failing,
          isRetry,
          isNumbered: false,
          onAppended: () => undefined,
          tally,
          now: Date.now,
          onPublished: (_topic, _messages, done) => settled.push(...done),
        });
        assert.equal(failure, undefined);
        assert.equal(attempts, isRetry ? 1 : 0, 'only parked messages are tried');
        assert.equal(sent.length - before, all.filter((row) => !isBad(row)).length);
        assert.deepEqual(
          refused.map(({ row }) => row.key),
          all.filter(isBad).map(({ key }) => key),
        );
        settled.push(...refused.filter(({ row }) => tally.settle(row)).map(({ row }) => row.whole ?? row));
        assert.deepEqual(new Set(settled), new Set(rows));
      }
    });
});
