import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eventually } from '#test/eventually.ts';
import { produceForeign } from '#platform/kafka/testing/produce-foreign.ts';
import type { Step } from '#platform/kafka/testing/foreign-producer.ts';
import { metrics } from './metrics.ts';
import { inboxStand } from './testing.ts';

const record: Step = { producer: 'other', kind: 'record', key: null, value: 'of another program' };

describe('a transaction of another program', () => {
  const stand = inboxStand();
  const count = 20;
  const heldBack = async () => (await stand.effects()).filter(({ place }) => place.startsWith('0/'));

  it('holds up its partition alone until it ends, and health and the lag say so', async () => {
    await produceForeign(stand.topic, [record, { kind: 'leave' }]);
    const { health } = stand.start({ stuckMs: 1_000 });
    await stand.sendRange(0, count);
    const reason = await eventually(async () => {
      const { checks } = await health.report();
      return Object.values(checks).find((check) => check.reason?.includes('transaction'))?.reason;
    }, 'health names the transaction');
    assert.match(
      reason,
      new RegExp(
        `${stand.topic}/0 at 0 of \\d+ for \\d+ s \\(a transaction that another program has begun at offset 0 has not ended\\)`,
      ),
    );
    const { values } = await metrics.lag.get();
    const lag = values.find(({ labels }) => labels.topic === stand.topic && labels.partition === 0)!.value;
    await stand.reach(count + 1 - lag); // all but its own record, and what is behind it
    assert.deepEqual(await heldBack(), []);

    await produceForeign(stand.topic, [record, { producer: 'other', kind: 'abort' }]);
    await stand.reach(count);
    assert.equal((await heldBack()).length, lag - 1);
    await eventually(() => stand.isReady(health), 'it is ready');
  });
});
