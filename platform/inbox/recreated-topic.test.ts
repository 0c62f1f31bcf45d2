import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eventually } from '#test/eventually.ts';
import { createDecoder, readJson } from '#platform/contract';
import { decideOffsets } from './decide.ts';
import { listDeadLetters } from './operations/dead-letters.ts';
import { inboxStand, message } from './testing.ts';

describe('a topic that is deleted and created again', { concurrency: false }, () => {
  const stand = inboxStand();
  const before = 14;
  const after = 24;
  const afterwards = Array.from({ length: after }, (_, i) => 100 + i);

  /** Has read the topic, which is then another one with other events: more of them, so that it is longer than the stored offset. */
  async function recreate(events = afterwards.map((n) => message(n, 'k'))): Promise<void> {
    await stand.recreate(events);
  }
  const sendBefore = () => stand.send(Array.from({ length: before }, (_, n) => message(n, 'k')));
  /** An inbox has read the topic, and has stopped. */
  const readBefore = async () => {
    await sendBefore();
    const first = stand.start();
    await stand.reach(before);
    await first.inbox.stop();
  };
  /** Kafka's answers where the topic is created again after the first question for its id. */
  const recreateMeanwhile = async () => {
    await readBefore();
    const { admin } = stand.kafka;
    const earlier = await admin.topicId(stand.topic);
    await recreate();
    let asked = 0;
    return {
      ...admin,
      topicId: (topic: string) => (asked++ === 0 ? Promise.resolve(earlier) : admin.topicId(topic)),
      knownWatermarks: (topic: string) => admin.knownWatermarks(topic),
    };
  };
  const numbers = async () => (await stand.effects()).map(({ n }) => n).filter((n) => n >= 100);
  const reasonOf = async ({ health }: ReturnType<typeof stand.start>) => {
    const { checks } = await health.report();
    return Object.values(checks).find(({ reason }) => reason?.includes('created again'))?.reason;
  };

  it('is refused until somebody decides, and then read from its start', async () => {
    await readBefore();
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
    await readBefore();
    await recreate();
    const { pool } = stand.database;
    const { admin } = stand.kafka;
    const target = { group: stand.group, topic: stand.topic };
    const decided = await decideOffsets({ pool, admin }, { ...target, decision: 'end' });
    assert.equal(
      [...decided!.values()].reduce((sum, offset) => sum + Number(offset), 0),
      after,
    );
    stand.start();
    await stand.send([message(200, 'k')]);
    await stand.reach(before + 1);
    assert.deepEqual(await numbers(), [200]);
  });

  it('is read from its start where that is set', async () => {
    await readBefore();
    await recreate();
    stand.start({ recreatedTopics: 'restart' });
    await stand.reach(before + after);
    assert.deepEqual(await numbers(), afterwards);
  });

  it('is refused, though it is created again while the inbox looks for its place', async () => {
    const admin = await recreateMeanwhile();
    const started = stand.start({ kafka: { ...stand.kafka, admin } });
    await eventually(() => reasonOf(started), 'a reason');
    assert.deepEqual(await numbers(), []);
  });

  it('is not taken for truncated where the offset was moved after Kafka had told its end', async () => {
    await readBefore();
    const { admin } = stand.kafka;
    let asked = 0;
    const ends = {
      topicId: (topic: string) => admin.topicId(topic),
      async knownWatermarks(topic: string) {
        const marks = await admin.knownWatermarks(topic);
        if (asked++ > 0) return marks;
        return new Map([...marks].map(([partition, { low } = { low: 0n }]) => [partition, { low, high: low }]));
      },
    };
    const { health } = stand.start({ kafka: { ...stand.kafka, admin: { ...admin, ...ends } } });
    await stand.send([message(100, 'k')]);
    await stand.reach(before + 1);
    assert.deepEqual(await numbers(), [100]);
    await eventually(() => stand.isReady(health), 'it is ready');
  });

  it('is read where somebody decides so, though it is created again meanwhile', async () => {
    const admin = await recreateMeanwhile();
    await decideOffsets(
      { pool: stand.database.pool, admin },
      { group: stand.group, topic: stand.topic, decision: 'restart' },
    );
    stand.start();
    await stand.reach(before + after);
    assert.deepEqual(await numbers(), afterwards);
  });

  for (const decision of ['by setting', 'by command'] as const)
    it(`keeps the dead letters of the earlier one at the same offsets where it is read from its start ${decision}`, async () => {
      const noEvent = (n: number) => ({ ...message(n, 'k'), headers: {} });
      const { pool } = stand.database;
      const letters = async () => {
        const found = await listDeadLetters(pool, { group: stand.group }, { before: undefined, limit: 10 });
        return found.map(({ offset }) => offset);
      };
      await stand.send([noEvent(1), noEvent(2)]);
      const first = stand.start();
      await eventually(async () => (await letters()).length === 2, 'both are dead letters');
      await first.inbox.stop();
      await recreate([noEvent(3), noEvent(4)]);
      const { admin } = stand.kafka;
      if (decision === 'by command')
        await decideOffsets({ pool, admin }, { group: stand.group, topic: stand.topic, decision: 'restart' });
      stand.start(decision === 'by setting' ? { recreatedTopics: 'restart' } : {});
      await eventually(async () => (await letters()).length === 4, 'and the two of the present one', 10_000);
      assert.deepEqual(await letters(), [1, 0, 1, 0]);
    });

  it('is decided for the partitions that cannot be read: of the others, nothing is skipped or read again', async () => {
    const { pool } = stand.database;
    const { admin } = stand.kafka;
    await stand.sendRange(0, before);
    const first = stand.start();
    await stand.reach(before);
    await first.inbox.stop();
    const { rows } = await pool.query<{ partition: number; next_offset: string }>(
      'SELECT partition, next_offset FROM millrace.inbox_offsets ORDER BY partition',
    );
    await pool.query('UPDATE millrace.inbox_offsets SET next_offset = 9999 WHERE partition = 1');
    const decide = (decision: 'restart' | 'end', all = false) =>
      decideOffsets({ pool, admin }, { group: stand.group, topic: stand.topic, decision, all });
    const ends = rows.map(({ next_offset }) => BigInt(next_offset));
    assert.deepEqual(await decide('end'), new Map([[1, ends[1]!]]));
    assert.deepEqual(await decide('restart'), new Map());
    assert.deepEqual([...(await decide('restart', true))!.values()], [0n, 0n, 0n, 0n]);
    await pool.query('DELETE FROM millrace.inbox_offsets');
    assert.equal(await decide('restart', true), undefined);
  });

  it('stays refused when its log was truncated and has grown past the stored offsets', async () => {
    const { pool } = stand.database;
    const { admin } = stand.kafka;
    await readBefore();
    // as if Kafka had been put back to an earlier time
    await pool.query('UPDATE millrace.inbox_offsets SET next_offset = next_offset + 3');
    const started = stand.start();
    const said = async (text: RegExp) => {
      const { checks } = await started.health.report();
      return Object.values(checks).some(({ reason }) => text.test(reason ?? ''));
    };
    await eventually(() => said(/was truncated or restored/), 'it is refused');
    await stand.send(afterwards.map((n) => message(n)));
    await eventually(() => said(/was truncated or restored after/), 'it is still refused', 20_000);
    assert.deepEqual(await numbers(), []);
    await decideOffsets({ pool, admin }, { group: stand.group, topic: stand.topic, decision: 'restart' });
    await eventually(async () => (await numbers()).length === after, 'nothing is skipped', 20_000);
    await eventually(() => stand.isReady(started.health), 'it is ready');
  });

  it('loses nothing to events of the earlier one that are written when their offsets are those of the present one', async () => {
    const { pool } = stand.database;
    const gate = Promise.withResolvers<void>();
    const late = new Proxy(pool, {
      get(target, name) {
        if (name === 'connect') return () => gate.promise.then(() => target.connect());
        const value = Reflect.get(target, name) as unknown;
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    let hasRead = false;
    const decode = createDecoder(readJson);
    await stand.send([1, 2, 3].map((n) => message(n, 'k')));
    stand.start({
      pool: late,
      decode: (one, headers) => {
        hasRead = true;
        return decode(one, headers);
      },
    });
    await eventually(() => hasRead, 'it has read them, and cannot write their effects yet');
    await recreate();
    const { admin } = stand.kafka;
    await decideOffsets({ pool, admin }, { group: stand.group, topic: stand.topic, decision: 'restart' });
    gate.resolve();
    await eventually(async () => (await numbers()).length === after, 'all of the present one', 10_000);
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
