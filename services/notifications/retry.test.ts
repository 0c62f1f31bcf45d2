import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { retryDelay, retryOfCopy, retryOfRefused, retryOfUnknown } from './retry.ts';

const minute = 60_000;
const hour = 60 * minute;

describe('retryDelay', () => {
  it('doubles up to an hour and then gives up', () => {
    const delays = [1, 2, 3, 10, 11, 79, 80].map((attempts) => retryDelay(attempts, 1));
    assert.deepEqual(delays, [5_000, 10_000, 20_000, 2_560_000, hour, hour, undefined]);
  });

  it('spreads between half and the whole', () => {
    assert.equal(retryDelay(2, 0), 5_000);
    assert.equal(retryDelay(2, 0.5), 7_500);
  });

  it('outlasts a day of a server that takes few mails an hour', () => {
    const least = Array.from({ length: 79 }, (_, i) => retryDelay(i + 1, 0)!).reduce((a, b) => a + b);
    assert.ok(least > 24 * hour);
  });

  it('outlasts a weekend with few copies where the recipient may get the mail each time', () => {
    const delays = Array.from({ length: 16 }, (_, i) => retryOfCopy(i + 1, 0.5)!);
    assert.ok(delays.reduce((a, b) => a + b) > 64 * hour);
    assert.equal(retryOfCopy(17), undefined);
  });
});

describe('retryOfRefused', () => {
  it('grows to a minute if the server takes no mail, and to an hour if nobody knows', () => {
    const pauses = (isOfServer: boolean) =>
      [0, 10_000, 5 * minute, 9 * hour].map((refusedForMs) => retryOfRefused({ refusedForMs, isOfServer }, 0, 1));
    assert.deepEqual(pauses(true), [5_000, 10_000, minute, minute]);
    assert.deepEqual(pauses(false), [5_000, 10_000, 5 * minute, hour]);
  });

  it("is not shorter than that of the mail's own attempts", () => {
    assert.equal(retryOfRefused({ refusedForMs: 0, isOfServer: true }, 10, 1), retryDelay(10, 1));
  });
});

describe('retryOfUnknown', () => {
  it('grows with the age of the mail up to 10 minutes', () => {
    const pauses = [0, 250, 4_000, hour].map((ageMs) => retryOfUnknown(ageMs, 1));
    assert.deepEqual(pauses, [250, 250, 4_000, 10 * minute]);
    assert.equal(retryOfUnknown(4_000, 0), 2_000);
  });
});
