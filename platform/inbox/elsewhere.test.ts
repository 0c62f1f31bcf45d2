import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eventually } from '#test/eventually.ts';
import { metrics } from './metrics.ts';
import { inboxStand, partitions } from './testing.ts';

const stuckMs = 600;

describe('a partition that another member of the group reads', { concurrency: false }, () => {
  const stand = inboxStand();
  const { sendRange, insert, start, reach, effects } = stand;

  const lags = async () => {
    const { values } = await metrics.lag.get();
    return values.filter(({ labels }) => labels.topic === stand.topic && labels.group === stand.group);
  };

  it('is missed by health, with its lag, where that member does not write to this database, and read when it has left', async (t) => {
    const { health } = start({ stuckMs });
    await sendRange(0, 40);
    await reach(40);
    const taken: number[] = [];
    const other = stand.kafka.consumer({
      group: stand.group,
      topics: [stand.topic],
      from: 'earliest',
      onAssigned: (assigned) => taken.push(...assigned.map(({ partition }) => partition)),
      onBatch: () => Promise.resolve(true),
    });
    t.after(() => other.stop());
    other.start();
    await eventually(() => taken.length === partitions / 2, 'the other member has half of the partitions');
    await sendRange(40, 80);
    const reason = await eventually(async () => {
      const { status, checks } = await health.report();
      return (
        status === 'DOWN' && Object.values(checks).find((check) => check.reason?.includes('another member'))?.reason
      );
    }, 'health says so');
    assert.match(
      reason,
      new RegExp(`another member of the group ${stand.group} reads ${stand.topic}/[0-3] at \\d+ of \\d+`),
    );
    assert.equal([...reason.matchAll(/ at \d+ of \d+ for \d+ s/g)].length, partitions / 2);
    const unread = 80 - (await effects()).length;
    assert.ok(unread > 0);
    assert.equal(
      (await lags()).reduce((sum, { value }) => sum + value, 0),
      unread,
    );
    await other.stop();
    await reach(80);
    await stand.assertOnceInOrder(80);
    await eventually(() => stand.isReady(health), 'it is ready again');
    await eventually(async () => (await lags()).every(({ value }) => value === 0), 'the lag is gone');
  });

  for (const where of ['in a transaction', 'before a transaction'] as const)
    it(`is left to the health of that member where it writes here, and does not go on ${where}`, async () => {
      const finish = Promise.withResolvers<void>();
      const { pool } = stand.database;
      const late = new Proxy(pool, {
        get(target, name) {
          if (name === 'connect') return () => finish.promise.then(() => target.connect());
          const value = Reflect.get(target, name) as unknown;
          return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        },
      });
      const { health } = start({ stuckMs });
      await eventually(() => stand.isReady(health), 'it is ready');
      const { health: stuck } = start({
        stuckMs,
        ...(where === 'before a transaction' && { pool: late }),
        async handle(tx, events) {
          await finish.promise;
          await insert(tx, events, 'b');
        },
      });
      try {
        await eventually(() => stand.isReady(stuck), 'the other is ready');
        await sendRange(0, 40);
        await eventually(async () => {
          const report = JSON.stringify(await stuck.report());
          return /makes no progress/.test(report);
        }, 'the other makes no progress');
        const until = performance.now() + 6 * stuckMs;
        await eventually(async () => {
          assert.doesNotMatch(JSON.stringify(await health.report()), /another member/);
          return performance.now() > until && (await stand.isReady(health));
        }, 'some rounds, and the last one is answered');
      } finally {
        finish.resolve();
      }
      await reach(40);
      await eventually(() => stand.isReady(stuck), 'both are well');
    });
});
