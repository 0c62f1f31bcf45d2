import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { eventually } from '#test/eventually.ts';
import { assertStopsCompletely } from '#test/stopping.ts';
import type { ConsumerHandle, ConsumerOptions, IncomingBatch, IncomingMessage, Kafka, Producer } from '../port.ts';

/** A Kafka whose consumers are tested. */
export interface KafkaUnderTest {
  kafka: Kafka;
  newTopic(partitions: number): Promise<string>;
}

const message = (n: number | string) => ({ key: `key ${n}`, value: Buffer.from(String(n)), headers: { n: String(n) } });
const textOf = ({ value }: IncomingMessage) => String(value);
const range = (start: number, end: number) => Array.from({ length: end - start }, (_, i) => start + i);

/** What the handlers of a test wait for; its end releases them at the latest, so that a consumer can stop. */
function releaseOf(context: TestContext): PromiseWithResolvers<void> {
  const release = Promise.withResolvers<void>();
  context.after(() => release.resolve());
  return release;
}

/** Declares the tests of a consumer. @param open makes a Kafka that these tests close */
export function testConsumers(name: string, open: () => Promise<KafkaUnderTest>): void {
  describe(`a consumer of ${name}`, { concurrency: true }, () => {
    let kafka: Kafka;
    let newTopic: KafkaUnderTest['newTopic'];
    let producer: Producer;
    before(async () => {
      ({ kafka, newTopic } = await open());
      producer = await kafka.producer();
    });
    after(() => kafka.close());

    const send = (topic: string, partition: number, ...texts: (number | string)[]) =>
      producer.send(topic, partition, texts.map(message));

    /** Starts a consumer that the end of the test stops; it is in a group of its own unless the test gives one. */
    function consume(
      context: TestContext,
      topic: string,
      options: Pick<ConsumerOptions, 'onBatch'> & Partial<ConsumerOptions>,
    ): ConsumerHandle {
      const group = `group-${randomUUID()}`;
      const consumer = kafka.consumer({ group, topics: [topic], from: 'earliest', ...options });
      context.after(() => consumer.stop());
      consumer.start();
      return consumer;
    }

    /** Starts a consumer in a group of its own that keeps the texts of all messages. */
    function collect(context: TestContext, topic: string): string[] {
      const texts: string[] = [];
      consume(context, topic, {
        async onBatch({ messages }) {
          texts.push(...messages.map(textOf));
          return true;
        },
      });
      return texts;
    }

    it('is a member of its group from its join to its stop', async () => {
      const topic = await newTopic(2);
      const joined = Promise.withResolvers<number[]>();
      const consumer = kafka.consumer({
        group: `group-${topic}`,
        topics: [topic],
        from: 'earliest',
        onAssigned: (partitions) => joined.resolve(partitions.map((at) => at.partition)),
        onBatch: async () => true,
      });
      assert.throws(() => consumer.checkJoined(), { code: 'ERR_KAFKA_NOT_JOINED' });
      consumer.start();
      assert.deepEqual((await joined.promise).toSorted(), [0, 1]);
      consumer.checkJoined();
      consumer.checkAlive();
      await consumer.stop();
      assert.throws(() => consumer.checkJoined(), { code: 'ERR_KAFKA_NOT_JOINED' });
    });

    it('gets the messages of a partition in order, in batches that say where they are', async (t) => {
      const topic = await newTopic(2);
      await send(topic, 1, 0, 1);
      await producer.send(topic, 1, [{ ...message(2), timestamp: 1_767_225_600_000 }]);
      const batches: IncomingBatch[] = [];
      consume(t, topic, {
        async onBatch(batch) {
          batches.push(batch);
          return true;
        },
      });
      const messages = await eventually(() => {
        const all = batches.flatMap((batch) => batch.messages);
        return all.length === 3 && all;
      }, 'three messages');
      await send(topic, 1, 3);
      await eventually(() => batches.at(-1)?.nextOffset === 4n, 'a fourth');
      assert.deepEqual(
        messages.map((one) => [one.topic, one.partition, one.offset, one.key, textOf(one), one.headers]),
        [0, 1, 2].map((n) => [topic, 1, BigInt(n), `key ${n}`, String(n), { n: String(n) }]),
      );
      assert.equal(messages[2]!.timestamp, 1_767_225_600_000);
      for (const { value, valueRange } of messages)
        assert.deepEqual(valueRange!.bytes.subarray(valueRange!.start, valueRange!.end), value);
      let next = 0n;
      for (const batch of batches) {
        assert.deepEqual([batch.topic, batch.partition, batch.fetchedOffset], [topic, 1, next]);
        next += BigInt(batch.messages.length);
        assert.equal(batch.nextOffset, next);
        assert.equal(batch.highWatermark, next > 3n ? 4n : 3n);
        assert.ok(batch.messages.length > 0);
      }
    });

    it('begins where its group has committed', async (t) => {
      const topic = await newTopic(2);
      const group = `group-${topic}`;
      await Promise.all([send(topic, 0, 0, 1, 2), send(topic, 1, 0)]);
      const read = Promise.withResolvers<void>();
      const earlier = consume(t, topic, {
        group,
        async onBatch() {
          read.resolve();
          return true;
        },
      });
      await read.promise;
      await earlier.commit([{ topic, partition: 0, offset: 2n }]);
      assert.deepEqual(await kafka.admin.committed(group, [topic]), [{ topic, partition: 0, offset: 2n }]);
      assert.ok((await kafka.admin.groups()).includes(group));
      await earlier.stop();
      const starts = new Map<number, bigint>();
      consume(t, topic, {
        group,
        async onBatch({ partition, fetchedOffset }) {
          if (!starts.has(partition)) starts.set(partition, fetchedOffset);
          return true;
        },
      });
      await eventually(() => starts.size === 2, 'both partitions');
      assert.deepEqual([starts.get(0), starts.get(1)], [2n, 0n]);
    });

    it('begins where it is told when the partitions are assigned', async (t) => {
      const topic = await newTopic(1);
      await send(topic, 0, 0, 1, 2);
      const fetched: bigint[] = [];
      const consumer = consume(t, topic, {
        onAssigned: ([at = assert.fail()]) => consumer.seek({ ...at, offset: 2n }),
        async onBatch({ fetchedOffset }) {
          fetched.push(fetchedOffset);
          return true;
        },
      });
      await eventually(() => fetched.length > 0, 'a batch');
      assert.deepEqual(fetched, [2n]);
    });

    it('goes on where it is told, also while it is far behind, and says that the batch is stale', async (t) => {
      const topic = await newTopic(1);
      const value = Buffer.alloc(50_000);
      for (let i = 0; i < 20; i++) {
        const messages = range(10 * i, 10 * i + 10).map((n) => ({ ...message(n), value }));
        await producer.send(topic, 0, messages);
      }
      const read: number[] = [];
      let stale: boolean[] | undefined;
      const consumer = consume(t, topic, {
        async onBatch({ messages, isStale }) {
          const numbers = messages.map(({ headers }) => Number(headers['n']));
          read.push(...numbers);
          if (stale || !numbers.includes(100)) return true;
          stale = [isStale()];
          consumer.seek({ topic, partition: 0, offset: 30n });
          stale.push(isStale());
          return false;
        },
      });
      await eventually(() => read.at(-1) === 199, 'the last message');
      const back = read.indexOf(30, 100);
      assert.deepEqual(read.slice(0, back), range(0, back));
      assert.deepEqual(read.slice(back), range(30, 200));
      assert.deepEqual(stale, [false, true]);
    });

    it('gets a batch again whose handler resolves with false', async (t) => {
      const topic = await newTopic(1);
      await send(topic, 0, 0, 1);
      const fetched: bigint[] = [];
      consume(t, topic, {
        async onBatch({ fetchedOffset, nextOffset }) {
          fetched.push(fetchedOffset);
          if (nextOffset === 2n && fetched.length < 3) return false;
          return true;
        },
      });
      await eventually(() => fetched.length === 3, 'three times');
      await send(topic, 0, 2);
      await eventually(() => fetched.length === 4, 'the next message');
      assert.deepEqual(fetched, [0n, 0n, 0n, 2n]);
    });

    it('gets a batch again whose handler fails, and rejoins where it goes on failing', async (t) => {
      const topic = await newTopic(1);
      await send(topic, 0, 'a');
      const happened: string[] = [];
      const joins = () => happened.filter((what) => what === 'joined').length;
      consume(t, topic, {
        onAssigned: () => happened.push('joined'),
        async onBatch({ messages }) {
          happened.push(...messages.map(textOf));
          if (joins() < 2) throw new Error('the handler fails');
          return true;
        },
      });
      await eventually(() => joins() === 2 && happened.at(-1) === 'a', 'the batch after another join');
      await send(topic, 0, 'b');
      await eventually(() => happened.includes('b'), 'the next message');
      const rejoined = happened.lastIndexOf('joined');
      assert.deepEqual(happened.slice(0, 3), ['joined', 'a', 'a']);
      assert.deepEqual(new Set(happened.slice(1, rejoined)), new Set(['a']));
      assert.deepEqual(happened.slice(rejoined), ['joined', 'a', 'b']);
    });

    it('gets nothing of a partition that is paused, and goes on where it was', async (t) => {
      const topic = await newTopic(2);
      const received: string[] = [];
      const paused = { topic, partition: 0 };
      const consumer = consume(t, topic, {
        onAssigned: () => consumer.pause(paused),
        async onBatch({ messages }) {
          received.push(...messages.map(textOf));
          return true;
        },
      });
      await send(topic, 0, 'a', 'b');
      for (const n of [0, 1, 2]) {
        await send(topic, 1, n);
        await eventually(() => received.length === n + 1, 'the other partition goes on');
      }
      assert.deepEqual(received, ['0', '1', '2']);
      consumer.resume(paused);
      await eventually(() => received.length === 5, 'the messages meanwhile');
      assert.deepEqual(received.slice(3), ['a', 'b']);
    });

    it('has no paused partition in its next assignment', async (t) => {
      const topic = await newTopic(2);
      const group = `group-${topic}`;
      const received: string[] = [];
      let assignments = 0;
      const consumer = consume(t, topic, {
        group,
        onAssigned() {
          assignments += 1;
          if (assignments === 1) for (const partition of [0, 1]) consumer.pause({ topic, partition });
        },
        async onBatch({ messages }) {
          received.push(...messages.map(textOf));
          return true;
        },
      });
      await eventually(() => assignments === 1, 'it is in the group');
      const joined = Promise.withResolvers<void>();
      const other = consume(t, topic, { group, onAssigned: () => joined.resolve(), onBatch: async () => false });
      await joined.promise;
      await other.stop();
      await Promise.all([send(topic, 0, 'a'), send(topic, 1, 'b')]);
      // the group has committed nothing: what came before the last assignment comes again
      await eventually(() => received.includes('a') && received.includes('b'), 'both messages');
    });

    it('handles the partitions of a fetch at once, and the next fetch after all of them', async (t) => {
      const topic = await newTopic(4);
      for (const partition of range(0, 4)) await send(topic, partition, 'first');
      const happened: string[] = [];
      const allBegun = Promise.withResolvers<void>();
      const release = releaseOf(t);
      consume(t, topic, {
        async onBatch({ partition, messages }) {
          const what = `${partition} ${textOf(messages.at(-1)!)}`;
          happened.push(`begins ${what}`);
          if (happened.length === 4) allBegun.resolve();
          await Promise.race([allBegun.promise, release.promise]);
          if (what === '0 first') await release.promise;
          happened.push(`ends ${what}`);
          return true;
        },
      });
      await eventually(() => happened.includes('ends 1 first'), 'one has ended, after all have begun');
      assert.deepEqual(
        happened.slice(0, 4).toSorted(),
        range(0, 4).map((n) => `begins ${n} first`),
      );
      const others = collect(t, topic);
      await send(topic, 1, 'second');
      await eventually(() => others.includes('second'), 'another group has it');
      happened.push('released');
      release.resolve();
      await eventually(() => happened.includes('ends 1 second'), 'the next fetch');
      assert.deepEqual(happened.slice(-4), ['released', 'ends 0 first', 'begins 1 second', 'ends 1 second']);
    });

    it('handles as many partitions at once as it is told', async (t) => {
      const topic = await newTopic(4);
      for (const partition of range(0, 4)) await send(topic, partition, 'a');
      let running = 0;
      const others: number[] = [];
      consume(t, topic, {
        concurrency: 1,
        async onBatch() {
          running += 1;
          await new Promise((resolve) => setImmediate(resolve));
          others.push(running - 1);
          running -= 1;
          return true;
        },
      });
      await eventually(() => others.length === 4, 'all partitions');
      assert.deepEqual(others, [0, 0, 0, 0]);
    });

    it('finishes the running batch when it stops, and handles none afterwards', async (t) => {
      const topic = await newTopic(1);
      await send(topic, 0, 'a');
      const happened: string[] = [];
      const release = releaseOf(t);
      const consumer = consume(t, topic, {
        async onBatch({ messages }) {
          happened.push(...messages.map(textOf));
          await release.promise;
          happened.push('handled');
          return true;
        },
      });
      await eventually(() => happened.length === 1, 'a batch');
      const stopping = consumer.stop().then(() => happened.push('stopped'));
      await send(topic, 0, 'b');
      release.resolve();
      await stopping;
      const others = collect(t, topic);
      await send(topic, 0, 'c');
      await eventually(() => others.includes('c'), 'another group has it');
      assert.deepEqual(happened, ['a', 'handled', 'stopped']);
    });

    it('gives its partitions to the others at once when it stops', async (t) => {
      const topic = await newTopic(4);
      const group = `group-${topic}`;
      const assigned = [0, 0];
      const start = (i: number) =>
        consume(t, topic, {
          group,
          onAssigned: (partitions) => (assigned[i] = partitions.length),
          onBatch: async () => true,
        });
      const first = start(0);
      await eventually(() => assigned[0] === 4, 'the first member has all');
      start(1);
      await eventually(() => assigned[0] === 2 && assigned[1] === 2, 'both have half');
      const since = performance.now();
      await first.stop();
      await eventually(() => assigned[1] === 4, 'the second member has all');
      assert.ok(performance.now() - since < 10_000, 'long before the session times out');
    });

    it('learns in the middle of a batch that its group is reassigned', async (t) => {
      const topic = await newTopic(2);
      const group = `group-${topic}`;
      await send(topic, 0, 'a');
      const first = Promise.withResolvers<IncomingBatch>();
      const release = releaseOf(t);
      consume(t, topic, {
        group,
        async onBatch(batch) {
          first.resolve(batch);
          await release.promise;
          return true;
        },
      });
      const { heartbeat } = await first.promise;
      await heartbeat();
      consume(t, topic, { group, onBatch: async () => true });
      await eventually(() => heartbeat().then(() => false, () => true), 'a heartbeat fails'); // prettier-ignore
      release.resolve();
    });

    it('joins as soon as a missing topic is there', async (t) => {
      const topic = `late-${randomUUID()}`;
      const joined = Promise.withResolvers<void>();
      const consumer = consume(t, topic, { onAssigned: () => joined.resolve(), onBatch: async () => true });
      await eventually(() => {
        try {
          consumer.checkJoined();
        } catch (error) {
          return /not in the group .*topic/.test(String(error));
        }
        return false;
      }, 'a reason that names the topic');
      await kafka.admin.ensureTopics([{ name: topic, partitions: 1, retentionMs: -1 }]);
      await joined.promise;
    });

    it('reads its other topics while one is missing, says which, and reads it as soon as it is there', async (t) => {
      const topic = await newTopic(1);
      const late = `late-${randomUUID()}`;
      const texts: string[] = [];
      const consumer = consume(t, topic, {
        topics: [late, topic],
        async onBatch({ messages }) {
          texts.push(...messages.map(textOf));
          return true;
        },
      });
      await send(topic, 0, 'a');
      await eventually(() => texts.includes('a'), 'the other topic is read');
      consumer.checkJoined();
      assert.throws(() => consumer.checkTopics(), { code: 'ERR_KAFKA_TOPICS_UNREAD', message: new RegExp(late) });
      assert.deepEqual(consumer.missingTopics, [late]);
      await kafka.admin.ensureTopics([{ name: late, partitions: 1, retentionMs: -1 }]);
      await send(late, 0, 'b');
      await eventually(() => texts.includes('b'), 'it is read');
      consumer.checkTopics();
      assert.deepEqual(consumer.missingTopics, []);
    });
  });

  it(`a consumer of ${name} leaves nothing behind when it stops`, async (t) => {
    const { kafka, newTopic } = await open();
    t.after(() => kafka.close());
    const topic = await newTopic(1);
    await assertStopsCompletely(kafka, (own) =>
      own.consumer({ group: `group-${topic}`, topics: [topic], from: 'earliest', onBatch: async () => true }),
    );
  });
}
