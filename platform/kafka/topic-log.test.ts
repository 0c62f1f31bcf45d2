import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readTopicLog } from './topic-log.ts';

describe('a topic as Kafka has it', () => {
  it('has the id and the offsets of one topic, though it is created again between the questions', async () => {
    const [earlier, present] = [
      { id: 'earlier', low: 100n },
      { id: 'present', low: 0n },
    ];
    for (let recreatedBefore = 0; recreatedBefore < 5; recreatedBefore += 1) {
      let questions = 0;
      const topic = () => (questions++ < recreatedBefore ? earlier : present);
      const admin = { topicId: () => Promise.resolve(topic().id) };
      const { topicId, watermarks } = await readTopicLog(admin, 'orders', () => Promise.resolve(topic().low));
      assert.equal(watermarks, topicId === 'earlier' ? 100n : 0n);
    }
  });
});
