import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createDecoder, readJson } from '#platform/contract';
import { Health } from '#platform/health';
import type { Kafka } from '#platform/kafka';
import { eventually } from '#test/eventually.ts';
import { assertStopsCompletely } from '#test/stopping.ts';
import { Inbox } from './inbox.ts';
import { inboxStand, log, partitions } from './testing.ts';

describe('an Inbox that stops', () => {
  const stand = inboxStand();
  const { sendRange, insert, start } = stand;

  it('has stopped only when it asks for nothing any more', async () => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    const slow: Kafka = {
      ...stand.kafka,
      admin: {
        ...stand.kafka.admin,
        topicId: (name) => stand.kafka.admin.topicId(name),
        async knownWatermarks(name) {
          asked.resolve();
          await answer.promise;
          return stand.kafka.admin.knownWatermarks(name);
        },
      },
    };
    const { inbox } = start({ kafka: slow });
    await asked.promise;
    let isStopped = false;
    const stopping = inbox.stop().then(() => (isStopped = true));
    let taken = 0;
    const other = stand.kafka.consumer({
      group: stand.group,
      topics: [stand.topic],
      from: 'earliest',
      onAssigned: (assigned) => (taken = assigned.length),
      onBatch: () => Promise.resolve(true),
    });
    other.start();
    await eventually(() => taken === partitions, 'another member has its partitions');
    await other.stop();
    assert.equal(isStopped, false);
    answer.resolve();
    await stopping;
  });

  it('takes no partitions any more that the group gives it while it stops', async () => {
    let giveAgain = () => {};
    let asked = 0;
    const reshuffled: Kafka = {
      ...stand.kafka,
      consumer(options) {
        const { onAssigned } = options;
        giveAgain = () => onAssigned!([{ topic: stand.topic, partition: 0 }]);
        return stand.kafka.consumer({ ...options, onAssigned: (assigned) => onAssigned!(assigned) });
      },
      admin: {
        ...stand.kafka.admin,
        topicId: (name) => stand.kafka.admin.topicId(name),
        knownWatermarks(name) {
          asked += 1;
          return stand.kafka.admin.knownWatermarks(name);
        },
      },
    };
    const inTransaction = Promise.withResolvers<void>();
    const finish = Promise.withResolvers<void>();
    const { inbox } = start({
      kafka: reshuffled,
      async handle() {
        inTransaction.resolve();
        await finish.promise;
      },
    });
    await sendRange(0, 1);
    await inTransaction.promise;
    const askedBefore = asked;
    const stopping = inbox.stop();
    giveAgain(); // while the transaction in flight is waited for
    finish.resolve();
    await stopping;
    assert.equal(asked, askedBefore);
  });

  it('leaves nothing behind when it stops, be it while the group is reshuffled', async () => {
    await sendRange(0, 100);
    await assertStopsCompletely(
      stand.kafka,
      (own) =>
        new Inbox({
          group: stand.group,
          topics: [stand.topic],
          pool: stand.database.pool,
          kafka: own,
          log,
          health: new Health(),
          decode: createDecoder(readJson),
          handle: insert,
        }),
    );
  });
});
