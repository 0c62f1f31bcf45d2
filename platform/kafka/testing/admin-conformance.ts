import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { Kafka, Producer } from '../port.ts';
import type { KafkaUnderTest } from './consumer-conformance.ts';

const message = { key: 'k', value: Buffer.from('v'), headers: {} };

/** Declares the tests of topics and offsets. @param open makes a Kafka that these tests close */
export function testAdmin(
  name: string,
  open: () => Promise<KafkaUnderTest & { deleteTopic(topic: string): Promise<void> }>,
): void {
  describe(`the administration of ${name}`, { concurrency: true }, () => {
    let kafka: Kafka;
    let newTopic: KafkaUnderTest['newTopic'];
    let deleteTopic: (topic: string) => Promise<void>;
    let producer: Producer;
    before(async () => {
      ({ kafka, newTopic, deleteTopic } = await open());
      producer = await kafka.producer();
    });
    after(() => kafka.close());

    it('creates topics that are missing, and leaves the others as they are', async () => {
      const { admin } = kafka;
      const [old, added] = [0, 1].map(() => `ensured-${randomUUID()}`) as [string, string];
      assert.deepEqual(await admin.ensureTopics([{ name: old, partitions: 3, retentionMs: -1 }]), [old]);
      const both = [old, added].map((topic) => ({ name: topic, partitions: 5, retentionMs: 1_000 }));
      assert.deepEqual(await admin.ensureTopics(both), [added]);
      const sizes = await Promise.all([old, added].map(async (topic) => (await admin.watermarks(topic)).size));
      assert.deepEqual(sizes, [3, 5]);
      assert.deepEqual(new Set(await admin.topics()).intersection(new Set([old, added])).size, 2);
    });

    it('has a topic also where two create it at once', async () => {
      const topic = `ensured-${randomUUID()}`;
      const declaration = { name: topic, partitions: 2, retentionMs: -1 };
      await Promise.all([kafka.admin.ensureTopics([declaration]), kafka.admin.ensureTopics([declaration])]);
      assert.equal((await kafka.admin.watermarks(topic)).size, 2);
    });

    it('has the watermarks of each partition, as soon as a send has resolved', async () => {
      const topic = await newTopic(2);
      await producer.send(topic, 1, [message, message, message]);
      assert.deepEqual(
        await kafka.admin.watermarks(topic),
        new Map([
          [0, { low: 0n, high: 0n }],
          [1, { low: 0n, high: 3n }],
        ]),
      );
    });

    it('finds offsets by time', async () => {
      const topic = await newTopic(2);
      const at = (timestamp: number) => ({ ...message, timestamp });
      const now = Date.now();
      await producer.send(topic, 1, [at(now - 60_000), at(now - 30_000), at(now)]);
      const found = async (time: number) => (await kafka.admin.offsetsAt(topic, time)).get(1);
      assert.deepEqual(
        [await found(now - 90_000), await found(now - 45_000), await found(now), await found(now + 1)],
        [0n, 1n, 2n, 3n],
      );
      assert.equal((await kafka.admin.offsetsAt(topic, now)).get(0), 0n);
    });

    it('tells a topic from an earlier one of its name by the id', async () => {
      const { admin } = kafka;
      const topic = await newTopic(2);
      const id = await admin.topicId(topic);
      assert.match(String(id), /^[0-9a-f]{32}$/);
      assert.equal(await admin.topicId(topic), id);
      await deleteTopic(topic);
      await assert.rejects(admin.topicId(topic), { type: 'UNKNOWN_TOPIC_OR_PARTITION' });
      await admin.ensureTopics([{ name: topic, partitions: 1, retentionMs: -1 }]);
      assert.notEqual(await admin.topicId(topic), id);
    });

    it('knows the other topics after one was deleted', async () => {
      const { admin } = kafka;
      const [kept, gone, later] = [await newTopic(1), await newTopic(1), await newTopic(3)];
      await admin.watermarks(kept);
      await admin.watermarks(gone);
      await deleteTopic(gone);
      assert.equal((await admin.watermarks(later)).size, 3);
      assert.equal((await admin.watermarks(kept)).size, 1);
      assert.match(String(await admin.topicId(later)), /^[0-9a-f]{32}$/);
      await assert.rejects(admin.watermarks(gone));
    });

    it('has no watermarks of a topic that does not exist', async () => {
      await assert.rejects(kafka.admin.watermarks(`missing-${randomUUID()}`));
    });

    it('has no committed offsets of a group that has committed none', async () => {
      assert.deepEqual(await kafka.admin.committed(`group-${randomUUID()}`, [await newTopic(2)]), []);
    });

    it('answers a check', () => kafka.check());
  });
}
