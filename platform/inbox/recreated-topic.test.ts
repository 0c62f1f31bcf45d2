import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eventually } from '#test/eventually.ts';
import { decideOffsets } from './decide.ts';
import { inboxStand, message, partitions } from './testing.ts';
import { deleteTopic } from '#platform/kafka/testing/administer.ts';

describe('a topic that is deleted and created again', { concurrency: false }, () => {
  const stand = inboxStand();
  const before = 14;
  const after = 24;
  const afterwards = Array.from({ length: after }, (_, i) => 100 + i);

  /** Has read the topic, which is then another one with more events. */
  async function recreate(): Promise<void> {
    await deleteTopic(stand.topic);
    await stand.kafka.admin.ensureTopics([{ name: stand.topic, partitions, retentionMs: -1 }]);
    // one key, and so one partition, whose new log is longer than the stored offset
    await eventually(
      () =>
        stand.send(afterwards.map((n) => message(n, 'k'))).then(
          () => true,
          () => false,
        ),
      'they are sent',
    );
  }
  const sendBefore = () => stand.send(Array.from({ length: before }, (_, n) => message(n, 'k')));
  const numbers = async () => (await stand.effects()).map(({ n }) => n).filter((n) => n >= 100);
  const reasonOf = async ({ health }: ReturnType<typeof stand.start>) => {
    const { checks } = await health.report();
    return Object.values(checks).find(({ reason }) => reason?.includes('created again'))?.reason;
  };

  it('is refused until somebody decides, and then read from its start', async () => {
    await sendBefore();
    const first = stand.start();
    await stand.reach(before);
    await first.inbox.stop();
    await recreate();
    const started = stand.start();
    const reason = await eventually(() => reasonOf(started), 'a reason');
    assert.match(
      reason,
      new RegExp(`npm run offsets -- restart ${stand.group} ${stand.topic} reads it from its start`),
    );
    assert.deepEqual(await numbers(), []);
    const { pool } = stand.database;
    const { admin } = stand.kafka;
    await decideOffsets({ pool, admin }, { group: stand.group, topic: stand.topic, decision: 'restart' });
    await stand.reach(before + after);
    assert.deepEqual(await numbers(), afterwards);
    await eventually(() => stand.isReady(started.health), 'it is ready');
  });

  it('is read from its end where somebody decides so', async () => {
    await sendBefore();
    const first = stand.start();
    await stand.reach(before);
    await first.inbox.stop();
    await recreate();
    const { pool } = stand.database;
    const { admin } = stand.kafka;
    const target = { group: stand.group, topic: stand.topic };
    const decided = await decideOffsets({ pool, admin }, { ...target, decision: 'end' });
    assert.equal(
      [...decided.values()].reduce((sum, offset) => sum + Number(offset), 0),
      after,
    );
    stand.start();
    await stand.send([message(200, 'k')]);
    await stand.reach(before + 1);
    assert.deepEqual(await numbers(), [200]);
  });

  it('is read from its start where that is set', async () => {
    await sendBefore();
    const first = stand.start();
    await stand.reach(before);
    await first.inbox.stop();
    await recreate();
    stand.start({ recreatedTopics: 'restart' });
    await stand.reach(before + after);
    assert.deepEqual(await numbers(), afterwards);
  });

  it('is noticed by an inbox that runs', async () => {
    await sendBefore();
    const running = stand.start({ stuckMs: 1_000 });
    await stand.reach(before);
    await recreate();
    await eventually(() => reasonOf(running), 'a reason', 30_000);
  });
});
