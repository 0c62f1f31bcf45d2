import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { eventually } from '#test/eventually.ts';
import { deleteTopic } from '#platform/kafka/testing/administer.ts';
import { inboxStand, log, message } from './testing.ts';
import { createKafka } from '#platform/kafka';
import { testKafka } from '#test/kafka.ts';

describe('a topic that is missing', { concurrency: false }, () => {
  const stand = inboxStand();

  it('does not stop the others of its group, is named by health, and is read as soon as it is there', async () => {
    const missing = `missing-${randomUUID()}`;
    const stuckMs = 2_000;
    const { health } = stand.start({ topics: [missing, stand.topic], stuckMs });
    await stand.sendRange(0, 20);
    await stand.reach(20);
    const reason = async () =>
      Object.values((await health.report()).checks)
        .map((check) => check.reason ?? '')
        .join();
    const until = performance.now() + 2 * stuckMs;
    await eventually(async () => {
      const said = await reason();
      return performance.now() > until && said.includes(`reads its other topics, but not ${missing} (`);
    }, 'health names it, and the progress of the others is known');
    await stand.kafka.admin.ensureTopics([{ name: missing, partitions: 1, retentionMs: -1 }]);
    const kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'missing-test', log });
    try {
      await (await kafka.producer()).send(missing, 0, [message(20)]);
    } finally {
      await kafka.close();
    }
    await stand.reach(21);
    await eventually(() => stand.isReady(health), 'it is well');
    await deleteTopic(missing);
    await stand.sendRange(21, 40);
    await stand.reach(40);
    assert.deepEqual(new Set((await stand.effects()).map(({ n }) => n)).size, 40);
    await eventually(async () => (await reason()).includes(missing), 'health names it again');
  });
});
