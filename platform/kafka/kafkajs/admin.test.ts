import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Admin } from 'kafkajs';
import { KafkaJsAdmin } from './admin.ts';
import { unknownOffset } from './leaderless.ts';

const moved = Object.assign(new Error('This server is not the leader'), { type: 'NOT_LEADER_FOR_PARTITION' });
const offsets = [{ partition: 0, offset: '7', high: '7', low: '2' }];

const keep = () => Promise.reject(new Error('the connection was to be kept'));

/** Connections that answer in turn with offsets or an error; `closed` counts those that were given up. */
function connections(...answers: (typeof offsets | Error)[]) {
  const counts = { opened: 0, closed: 0 };
  const open = () => {
    const answer = answers[counts.opened++];
    const admin = {
      fetchTopicOffsets: () => (answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)),
      disconnect: () => Promise.resolve(void counts.closed++),
    };
    return Promise.resolve(admin as unknown as Admin);
  };
  return { counts, open };
}

describe('the offsets of a topic', () => {
  it('are asked of the new leaders where others have taken their place', async () => {
    const shared = connections(moved);
    const fresh = connections(moved, offsets);
    const administration = new KafkaJsAdmin(shared.open, fresh.open, keep);
    assert.deepEqual(await administration.watermarks('t'), new Map([[0, { low: 2n, high: 7n }]]));
    assert.deepEqual([shared.counts.closed, fresh.counts], [0, { opened: 2, closed: 2 }]);
  });

  it('are waited for no longer than a leader may take', async () => {
    const fresh = connections(moved, offsets);
    const administration = new KafkaJsAdmin(connections(moved).open, fresh.open, keep, 0);
    await assert.rejects(administration.watermarks('t'), moved);
    assert.deepEqual(fresh.counts, { opened: 1, closed: 1 });
  });

  it('are not asked of a new connection each time while a partition has no leader', async () => {
    const leaderless = [{ partition: 0, offset: unknownOffset, high: unknownOffset, low: unknownOffset }];
    const shared = connections(leaderless, leaderless, leaderless);
    const fresh = connections(leaderless, leaderless, leaderless);
    const administration = new KafkaJsAdmin(shared.open, fresh.open, keep);
    for (let i = 0; i < 3; i++) assert.deepEqual(await administration.knownWatermarks('t'), new Map([[0, undefined]]));
    assert.deepEqual(fresh.counts, { opened: 1, closed: 1 });
  });

  it('and those of a group are asked for one after the other, also where an answer is an error', async () => {
    let asking = 0;
    let most = 0;
    const ask = async <T>(answer: T) => {
      most = Math.max(most, ++asking);
      await new Promise((resolve) => setImmediate(resolve));
      asking -= 1;
      return answer;
    };
    const admin = {
      async fetchTopicOffsets(topic: string) {
        await ask(topic);
        if (topic === 'bad') throw new Error('no');
        return offsets;
      },
      fetchOffsets: () => ask([{ topic: 'c', partitions: [] }]),
    };
    const administration = new KafkaJsAdmin(() => Promise.resolve(admin as unknown as Admin), connections().open, keep);
    const outcomes = await Promise.allSettled([
      ...['a', 'bad', 'c'].map((topic) => administration.watermarks(topic)),
      administration.committed('g', ['c']),
    ]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
    );
    assert.equal(most, 1);
  });

  it('are not asked for again where the fault is another', async () => {
    const fresh = connections(offsets);
    const administration = new KafkaJsAdmin(connections(new Error('no')).open, fresh.open, keep);
    await assert.rejects(administration.watermarks('t'), /no/);
    assert.equal(fresh.counts.opened, 0);
  });
});
