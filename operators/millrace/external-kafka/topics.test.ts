import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { BoundedManager } from './bounded-manager.ts';
import type { TopicRecord } from './topic-records.ts';
import { keepTopic } from './topics.ts';

const owner = 'EventService/orders';
const weekMs = 7 * 86_400_000;

type Create = BoundedManager['createTopic'];

interface MadeTopic {
  id: string | undefined;
  retention: string;
}

/** A Kafka with one topic, and the record of it. */
class OneTopic {
  made: MadeTopic | undefined;
  record: TopicRecord | undefined;
  #ids = 0;

  make(retention: string, id: string | undefined = `id-${(this.#ids += 1)}`): MadeTopic {
    this.made ??= { id, retention };
    return this.made;
  }

  /** Keeps the topic. @param create what becomes of an attempt to create it @returns why not, or nothing */
  async keep(
    create: (ask: (...asked: Parameters<Create>) => ReturnType<Create>) => Create,
    retentionMs = weekMs,
    by = owner,
  ) {
    const shown = (made: MadeTopic) => ({ id: made.id, partitions: 1, replicas: 1 });
    const answered: Create = async ({ config }, begin, end) => {
      await begin();
      if (this.made) return undefined;
      const topic = shown(this.make(config['retention.ms']!));
      await end(topic);
      return topic;
    };
    const manager = {
      brokers: () => Promise.resolve(1),
      topic: () => Promise.resolve(this.made && shown(this.made)),
      config: () => Promise.resolve({ 'retention.ms': this.made!.retention }),
      changeConfig: async (_: string, changes: Record<string, string>) =>
        void (this.made!.retention = changes['retention.ms']!),
      createTopic: create(answered),
    } as unknown as BoundedManager;
    const keeping = {
      manager,
      owner: by,
      replicas: undefined,
      record: this.record,
      keepsTopics: () => true,
      read: () => Promise.resolve(this.record),
      write: async (record: TopicRecord | undefined) => void (this.record = record),
    };
    const topic = { name: 'order-events', partitions: 1, retentionMs };
    return await keepTopic(topic, keeping).then(
      () => undefined,
      (error: Error) => error.message,
    );
  }
}

const asAnswered = (ask: Create) => ask;
const lost = 'socket hang up';
const isLost = () => Promise.reject(new Error(lost));
const strangers = 'the topic order-events exists in Kafka, and Millrace has not made it in this namespace';

describe('a topic that nobody knows who has made, as the answer to an attempt is lost', () => {
  for (const retentionMs of [weekMs, -1, 1_000, 1])
    it(`is its own where Kafka made it at that attempt: for ${retentionMs} ms`, async () => {
      const kafka = new OneTopic();
      const lose =
        (ask: Create): Create =>
        async (topic, begin) => {
          await ask(topic, begin, isLost);
          return undefined;
        };
      assert.equal(await kafka.keep(lose, retentionMs), lost);
      const { retention, id } = kafka.made!;
      assert.notEqual(retention, String(retentionMs));
      assert.deepEqual(kafka.record, { owner, proof: retention });
      assert.equal(await kafka.keep(asAnswered, retentionMs), undefined);
      assert.deepEqual([kafka.record, kafka.made!.retention], [{ owner, id }, String(retentionMs)]);
    });

  it('is its own where the client has tried twice, and only the first time made it', async () => {
    const kafka = new OneTopic();
    const twice =
      (ask: Create): Create =>
      async (topic, begin, end) => {
        kafka.make(topic.config['retention.ms']!);
        return await ask(topic, begin, end);
      };
    assert.equal(await kafka.keep(twice), undefined);
    assert.deepEqual(kafka.record, { owner, id: kafka.made!.id });
  });

  it('is its own where Kafka makes it after the next attempt has begun', async () => {
    const kafka = new OneTopic();
    const retentions: string[] = [];
    const late = (): Create => async (topic, begin) => {
      retentions.push(topic.config['retention.ms']!);
      await begin();
      return await isLost();
    };
    for (let attempt = 0; attempt < 2; attempt += 1) assert.equal(await kafka.keep(late), lost);
    kafka.make(retentions[0]!);
    assert.equal(await kafka.keep(asAnswered), undefined);
    assert.deepEqual(kafka.record, { owner, id: kafka.made!.id });
  });

  it('is somebody else’s where it is another one', async () => {
    const kafka = new OneTopic();
    const never = (): Create => async (_, begin) => {
      await begin();
      return await isLost();
    };
    assert.equal(await kafka.keep(never), lost);
    kafka.make(String(weekMs));
    for (let attempt = 0; attempt < 2; attempt += 1) {
      assert.equal(await kafka.keep(asAnswered), strangers);
      assert.equal(kafka.record, undefined);
    }
  });

  it('has its id recorded as soon as a broker tells it, and none where brokers have none', async () => {
    const kafka = new OneTopic();
    const made: string[] = [];
    /** Kafka says that it has made the topic, and not which id it has. @param isKnown whether its brokers know it by then */
    const withoutId = (isKnown: boolean) => (): Create => async (topic, begin, end) => {
      await begin();
      made.push(topic.config['retention.ms']!);
      if (isKnown) kafka.made = { id: undefined, retention: made.at(-1)! };
      const answer = { id: undefined, partitions: 1, replicas: 1 };
      await end(answer);
      return answer;
    };
    const notYet = 'Kafka has made the topic order-events, and no broker knows it yet';
    assert.equal(await kafka.keep(withoutId(false)), notYet);
    kafka.make(made[0]!);
    assert.equal(await kafka.keep(asAnswered), undefined);
    assert.deepEqual(kafka.record, { owner, id: 'id-1' });

    kafka.made = undefined;
    for (const create of [withoutId(true), asAnswered]) {
      assert.equal(await kafka.keep(create), undefined);
      assert.deepEqual([kafka.record, kafka.made!.retention], [{ owner, id: undefined }, String(weekMs)]);
    }
  });
});

describe('a topic that two owners make at the same moment', () => {
  const other = 'EventService/billing';
  const conflict = '409 Conflict: the record of the topic order-events has changed meanwhile';

  /** Somebody else has their turn before one's own begins, or after it has. */
  const meanwhile =
    (when: 'before' | 'after', theirs: () => Promise<unknown>) =>
    (ask: Create): Create =>
    async (topic, begin, end) => {
      if (when === 'before') await theirs();
      return await ask(
        topic,
        async () => {
          await begin();
          if (when === 'after') await theirs();
        },
        end,
      );
    };

  it('is that of the first one, whose record stays, and the other one tries again', async () => {
    const kafka = new OneTopic();
    const first = () => kafka.keep(asAnswered, weekMs, other);
    assert.equal(await kafka.keep(meanwhile('before', first)), conflict);
    assert.deepEqual(kafka.record, { owner: other, id: kafka.made!.id });
    assert.equal(await kafka.keep(asAnswered), `the topic order-events belongs to ${other}`);
    assert.equal(await first(), undefined);
  });

  it('is that of the first one also where this has recorded it after the other one has begun', async () => {
    const kafka = new OneTopic();
    const first = async () => {
      kafka.record = { owner: other, id: kafka.make(String(weekMs)).id };
    };
    assert.equal(await kafka.keep(meanwhile('after', first)), conflict);
    assert.deepEqual(kafka.record, { owner: other, id: kafka.made!.id });
  });

  it('is that of the first one also where the other one has read a record that was not yet proven', async () => {
    const kafka = new OneTopic();
    const made = kafka.make(String(weekMs));
    const recorded = { owner, id: made.id };
    kafka.record = { owner, proof: '604799000' };
    const keeping = kafka.keep(asAnswered);
    kafka.record = recorded;
    assert.equal(await keeping, conflict);
    assert.deepEqual(kafka.record, recorded);
  });
});

it('a topic that Kafka has confirmed is its own, also where it has another retention than was asked for', async () => {
  const kafka = new OneTopic();
  const confirmed = (): Create => async (_, begin, end) => {
    await begin();
    kafka.make(String(weekMs));
    const answer = { id: undefined, partitions: 1, replicas: 1 };
    await end(answer);
    return answer;
  };
  assert.equal(await kafka.keep(confirmed), undefined);
  assert.deepEqual(kafka.record, { owner, id: kafka.made!.id });
});
