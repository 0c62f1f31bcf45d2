import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { retryDelay, retryOfRefused, retryOfUnknown } from './retry.ts';

const minute = 60_000;
const hour = 60 * minute;

describe('retryDelay', () => {
  it('doubles up to an hour and then gives up', () => {
    const delays = [1, 2, 3, 10, 11, 79, 80].map((attempts) => retryDelay(attempts, false, 1));
    assert.deepEqual(delays, [5_000, 10_000, 20_000, 2_560_000, hour, hour, undefined]);
  });

  it('spreads between half and the whole', () => {
    assert.equal(retryDelay(2, false, 0), 5_000);
    assert.equal(retryDelay(2, false, 0.5), 7_500);
  });

  it('outlasts a day of a server that takes few mails an hour', () => {
    const least = Array.from({ length: 79 }, (_, i) => retryDelay(i + 1, false, 0)!).reduce((a, b) => a + b);
    assert.ok(least > 24 * hour);
  });

  it('outlasts a weekend with few copies where the recipient may get the mail each time', () => {
    const delays = Array.from({ length: 16 }, (_, i) => retryDelay(i + 1, true, 0.5)!);
    assert.ok(delays.reduce((a, b) => a + b) > 64 * hour);
    assert.equal(retryDelay(17, true), undefined);
  });
});

describe('retryOfRefused', () => {
  it('grows to a minute if the server takes no mail, and to an hour if nobody knows', () => {
    const pauses = (isOfServer: boolean) => [1, 2, 9, 99].map((rounds) => retryOfRefused({ rounds, isOfServer }, 0, 1));
    assert.deepEqual(pauses(true), [5_000, 10_000, minute, minute]);
    assert.deepEqual(pauses(false), [5_000, 10_000, 1_280_000, hour]);
  });

  it("is not shorter than that of the mail's own attempts", () => {
    assert.equal(retryOfRefused({ rounds: 1, isOfServer: true }, 10, 1), retryDelay(10, false, 1));
  });
});

describe('retryOfUnknown', () => {
  it('grows with the age of the mail up to 10 minutes', () => {
    const pauses = [0, 250, 4_000, hour].map((ageMs) => retryOfUnknown(ageMs, 1));
    assert.deepEqual(pauses, [250, 250, 4_000, 10 * minute]);
    assert.equal(retryOfUnknown(4_000, 0), 2_000);
  });
});
