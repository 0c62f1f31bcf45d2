import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { ApiError } from './errors.ts';
import { WorkQueue } from './queue.ts';
import type { ProcessedKey, Result } from './queue.ts';
import { ManualClock, settle } from './testing/manual-clock.ts';

/** A queue whose work ends when the test says so. */
function controlled(concurrency = 1) {
  const clock = new ManualClock();
  const inHand = new Map<string, PromiseWithResolvers<Result | void>>();
  const begun: string[] = [];
  const processed: ProcessedKey[] = [];
  const queue = new WorkQueue({
    clock,
    concurrency,
    backoff: { firstMs: 100, maxMs: 1_000 },
    onDone: (key) => processed.push(key),
    work(key) {
      assert.ok(!inHand.has(key), `${key} is worked on twice at the same time`);
      begun.push(key);
      const work = Promise.withResolvers<Result | void>();
      inHand.set(key, work);
      return work.promise.finally(() => inHand.delete(key));
    },
  });
  const finish = async (key: string, result?: Result) => {
    inHand.get(key)!.resolve(result);
    await settle();
  };
  const fail = async (key: string, error: unknown = new Error('no luck')) => {
    inHand.get(key)!.reject(error);
    await settle();
  };
  return { clock, queue, inHand, begun, processed, finish, fail };
}

describe('a queue of keys', () => {
  it('works on a key once however often it was added', async () => {
    const { queue, begun, finish } = controlled();
    for (const key of ['a', 'b', 'a', 'a']) queue.add(key);
    queue.start();
    await finish('a');
    await finish('b');
    assert.deepEqual(begun, ['a', 'b']);
    assert.equal(queue.depth, 0);
  });

  it('works on it again where it was added meanwhile', async () => {
    const { queue, begun, finish } = controlled(4);
    queue.start();
    queue.add('a');
    queue.add('a');
    queue.add('a');
    await settle();
    assert.deepEqual(begun, ['a']);
    await finish('a');
    assert.deepEqual(begun, ['a', 'a']);
    await finish('a');
    assert.deepEqual(begun, ['a', 'a']);
  });

  it('lets urgent keys overtake, and makes waiting ones urgent', async () => {
    const { queue, begun, finish } = controlled();
    for (const key of ['a', 'b', 'c', 'd']) queue.add(key, { urgent: false });
    queue.add('new');
    queue.add('c');
    queue.start();
    for (const key of ['new', 'c', 'a', 'b', 'd']) await finish(key);
    assert.deepEqual(begun, ['new', 'c', 'a', 'b', 'd']);
  });

  it('waits longer after each failure, and no longer once it has gone well', async () => {
    const { queue, clock, begun, processed, finish, fail } = controlled();
    queue.start();
    queue.add('a');
    for (const [failures, atLeast, atMost] of [
      [1, 50, 100],
      [2, 100, 200],
      [3, 200, 400],
      [4, 400, 800],
      [5, 500, 1_000],
      [6, 500, 1_000],
    ] as const) {
      await fail('a');
      assert.equal(processed.at(-1)?.failures, failures);
      const before = begun.length;
      await clock.advance(atLeast - 1);
      assert.equal(begun.length, before);
      await clock.advance(atMost - atLeast + 1);
      assert.equal(begun.length, before + 1);
    }
    await finish('a');
    queue.add('a');
    await fail('a');
    assert.equal(processed.at(-1)?.failures, 1);
  });

  it('waits longer after each time, too, where a part of the work has failed', async () => {
    const { queue, clock, begun, finish } = controlled();
    queue.start();
    queue.add('a');
    const isAgainWithin = async (atLeast: number, atMost: number, result: Result) => {
      const before = begun.length;
      await finish('a', result);
      await clock.advance(atLeast - 1);
      assert.equal(begun.length, before);
      await clock.advance(atMost - atLeast + 1);
      assert.equal(begun.length, before + 1);
    };
    await isAgainWithin(50, 100, { retry: true });
    await isAgainWithin(100, 200, { retry: true });
    await isAgainWithin(200, 400, { retry: true, requeueAfterMs: 3_000 });
    await isAgainWithin(10, 10, { retry: true, requeueAfterMs: 10 });
    await isAgainWithin(3_000, 3_000, { requeueAfterMs: 3_000 });
    await isAgainWithin(50, 100, { retry: true });
  });

  it('counts failures and those of a part apart', async () => {
    const { queue, clock, begun, processed, finish, fail } = controlled();
    queue.start();
    queue.add('a');
    const isAgainWithin = async (ms: number) => {
      const before = begun.length;
      await clock.advance(ms);
      assert.equal(begun.length, before + 1);
    };
    for (let parts = 0; parts < 6; parts += 1) {
      await finish('a', { retry: true });
      await isAgainWithin(1_000);
    }
    await fail('a');
    assert.equal(processed.at(-1)?.failures, 1);
    await isAgainWithin(100);
    await finish('a', { retry: true });
    assert.equal(processed.at(-1)?.failures, 0);
    const before = begun.length;
    await clock.advance(499);
    assert.equal(begun.length, before, 'the part is tried as seldom as before');
    await isAgainWithin(501);
  });

  it('waits as long as the server asks', async () => {
    const { queue, clock, begun, fail } = controlled();
    queue.start();
    queue.add('a');
    await fail('a', new ApiError(429, { details: { retryAfterSeconds: 30 } }));
    await clock.advance(29_999);
    assert.equal(begun.length, 1);
    await clock.advance(1);
    assert.equal(begun.length, 2);
  });

  it('looks again when the work asked for it, unless it had to look before', async () => {
    const { queue, clock, begun, finish } = controlled();
    queue.start();
    queue.add('a');
    await finish('a', { requeueAfterMs: 5_000 });
    await clock.advance(3_000);
    queue.add('a');
    await finish('a', { requeueAfterMs: 5_000 });
    await clock.advance(4_999);
    assert.equal(begun.length, 2);
    await clock.advance(1);
    assert.equal(begun.length, 3);
  });

  it('tells the work in hand to end, waits for it, and keeps it for a later start', async () => {
    const clock = new ManualClock();
    const begun: string[] = [];
    let inHand = 0;
    const queue = new WorkQueue({
      clock,
      concurrency: 2,
      work: (key, signal) => {
        begun.push(key);
        inHand += 1;
        return new Promise<void>((resolve, reject) => {
          if (begun.length > 3) resolve();
          signal.addEventListener('abort', () => reject(signal.reason as Error));
        }).finally(() => (inHand -= 1));
      },
    });
    for (const key of ['a', 'b', 'c']) queue.add(key);
    queue.start();
    await queue.stop();
    assert.deepEqual(begun, ['a', 'b']);
    assert.equal(queue.depth, 3);
    assert.equal(inHand, 0);
    queue.start();
    await settle();
    assert.deepEqual(begun.toSorted(), ['a', 'a', 'b', 'b', 'c', 'c'].slice(0, begun.length).toSorted());
  });

  const action = fc.oneof(
    fc.record({ do: fc.constant('add' as const), key: fc.constantFrom('a', 'b', 'c', 'd'), urgent: fc.boolean() }),
    fc.record({ do: fc.constantFrom('finish' as const, 'fail' as const), nth: fc.nat(3) }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.nat(500) }),
  );

  it('never works on a key twice at once, keeps to its concurrency, and forgets no key', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 3 }), fc.array(action, { maxLength: 60 }), async (limit, actions) => {
        const { queue, clock, inHand, begun, finish, fail } = controlled(limit);
        queue.start();
        /** how many times a key's work had begun when it was last added, or when it failed */
        const owed = new Map<string, number>();
        const times = (key: string) => begun.filter((one) => one === key).length;
        for (const step of actions) {
          if (step.do === 'add') {
            owed.set(step.key, times(step.key));
            queue.add(step.key, { urgent: step.urgent });
          } else if (step.do === 'wait') await clock.advance(step.ms);
          else {
            const key = [...inHand.keys()][step.nth];
            if (key === undefined) continue;
            if (step.do === 'finish') await finish(key);
            else {
              owed.set(key, times(key));
              await fail(key);
            }
          }
          await settle();
          assert.ok(inHand.size <= limit);
        }
        while (inHand.size > 0 || queue.depth > 0) for (const key of inHand.keys()) await finish(key);
        await clock.advance(2_000);
        while (inHand.size > 0 || queue.depth > 0) for (const key of inHand.keys()) await finish(key);
        for (const [key, before] of owed) assert.ok(times(key) > before, `${key} was forgotten`);
      }),
      { numRuns: 150 },
    );
  });
});
