import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { recipientRetry, retryDelay, smtpRetry } from './retry.ts';
import type { RetryPolicy } from './retry.ts';

/** The least milliseconds from the first attempt to the last. */
const whole = (policy: RetryPolicy) =>
  Array.from({ length: policy.maxAttempts }, (_, i) => retryDelay(policy, i + 1, 0) ?? 0).reduce((a, b) => a + b, 0);

describe('retryDelay', () => {
  const policy = { maxAttempts: 5, firstMs: 100, maxMs: 500 };

  it('doubles up to its bound and then gives up', () => {
    const delays = [1, 2, 3, 4, 5].map((attempts) => retryDelay(policy, attempts, 1));
    assert.deepEqual(delays, [100, 200, 400, 500, undefined]);
  });

  it('spreads between half and the whole', () => {
    assert.equal(retryDelay(policy, 2, 0), 100);
    assert.equal(retryDelay(policy, 2, 0.5), 150);
  });

  it('outlasts greylisting, and a slow topic', () => {
    assert.ok(whole(smtpRetry) > 3_600_000);
    assert.ok(whole(recipientRetry) > 900_000);
  });
});
