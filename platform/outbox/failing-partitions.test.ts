import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FailingPartitions } from './failing-partitions.ts';

const bad = { topic: 'alerts', partition: 0 };
const good = { topic: 'orders', partition: 0 };
const error = new Error('not enough replicas');

describe('a partition that fails', () => {
  /** Fails once a second. @param others when others take messages, in seconds @returns when the messages were refused first */
  const refusedAt = (failing: FailingPartitions, others: (second: number) => boolean, to = 60) => {
    for (let second = 0; second < to; second++) {
      if (failing.failed(bad, error, second * 1_000)) return second;
      if (others(second)) failing.took(good, second * 1_000 + 500);
    }
    return undefined;
  };

  it('is given up after 10 s in which others take messages, and tried with parked ones when these are due', () => {
    const failing = new FailingPartitions();
    assert.equal(
      refusedAt(failing, () => true),
      11,
    );
    const at = (ms: number, isRetry: boolean) => failing.refusalOf(bad, isRetry, 11_000 + ms);
    assert.match(at(0, true)!.reason, /^not enough replicas, while/);
    assert.ok(at(60_000, false));
    assert.equal(at(60_000, true), undefined);
    assert.ok(failing.failed(bad, error, 71_000), 'it is refused at once when it fails again');
    assert.equal(failing.refusalOf(good, false), undefined);
    failing.took(bad);
    assert.equal(failing.refusalOf(bad, false), undefined);
  });

  it('is not given up while nothing is taken, nor at once when others are back before it', () => {
    const away = 30;
    assert.equal(
      refusedAt(new FailingPartitions(), () => false),
      undefined,
    );
    assert.equal(
      refusedAt(new FailingPartitions(), (second) => second >= away),
      away + 11,
    );
  });

  it('is given up where others take messages seldom', () => {
    assert.equal(
      refusedAt(new FailingPartitions(), (second) => second % 20 === 5),
      26,
    );
  });

  it('is a topic, too, whose partitions nobody tells', () => {
    const failing = new FailingPartitions();
    const topic = { topic: 'alerts' };
    for (let second = 0; second <= 11; second++) {
      failing.failed(topic, error, second * 1_000);
      failing.took(good, second * 1_000 + 500);
    }
    assert.ok(failing.refusalOf(topic, false));
    assert.equal(failing.refusalOf(bad, false), undefined);
    failing.took(bad);
    assert.equal(failing.refusalOf(topic, false), undefined);
  });
});
