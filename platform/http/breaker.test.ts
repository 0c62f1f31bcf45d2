import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { CircuitBreaker } from './breaker.ts';
import type { BreakerState, CallOutcome } from './breaker.ts';

function setup() {
  const clock = { now: 0 };
  const changes: BreakerState[] = [];
  const breaker = new CircuitBreaker({
    failures: 3,
    windowMs: 1_000,
    pauseMs: 100,
    maxPauseMs: 350,
    now: () => clock.now,
    onChange: (state) => changes.push(state),
  });
  const call = (outcome: CallOutcome) => {
    const permit = breaker.admit();
    assert.notEqual(permit, undefined, 'refused');
    breaker.settle(permit!, outcome);
  };
  const open = () => {
    while (breaker.state === 'closed') call('failure');
  };
  return { clock, breaker, call, open, changes };
}

describe('circuit breaker', () => {
  it('opens after enough failures and says when to come back', () => {
    const { breaker, call } = setup();
    call('failure');
    call('failure');
    assert.equal(breaker.state, 'closed');
    call('failure');
    assert.equal(breaker.state, 'open');
    assert.equal(breaker.admit(), undefined);
    assert.equal(breaker.retryAfterMs(), 100);
  });

  it('stays closed while most calls succeed, and where callers leave', () => {
    const { breaker, call } = setup();
    for (let i = 0; i < 100; i += 1) {
      call('success');
      call('success');
      call('failure');
      call('abandoned');
    }
    assert.equal(breaker.state, 'closed');
  });

  it('forgets failures that are older than its window', () => {
    const { breaker, call, clock } = setup();
    for (let i = 0; i < 20; i += 1) {
      call('failure');
      call('success');
      clock.now += 600;
    }
    assert.equal(breaker.state, 'closed');
  });

  it('opens at once when a service that was busy and well fails every time', () => {
    const { breaker, call } = setup();
    for (let i = 0; i < 1_000; i += 1) call('success');
    call('failure');
    call('failure');
    assert.equal(breaker.state, 'closed');
    call('failure');
    assert.equal(breaker.state, 'open');
  });

  it('opens when half of the calls fail', () => {
    const { breaker, call } = setup();
    for (let i = 0; i < 3; i += 1) {
      assert.equal(breaker.state, 'closed');
      call('success');
      call('failure');
    }
    assert.equal(breaker.state, 'open');
  });

  it('lets one probe through after the pause and closes when it succeeds', () => {
    const { breaker, clock, open, changes } = setup();
    open();
    clock.now += 100;
    assert.equal(breaker.state, 'half-open');
    const probe = breaker.admit();
    assert.notEqual(probe, undefined);
    assert.equal(breaker.admit(), undefined);
    breaker.settle(probe!, 'success');
    assert.equal(breaker.state, 'closed');
    assert.deepEqual(changes, ['open', 'half-open', 'closed']);
  });

  it('doubles the pause with each failed probe, up to its limit', () => {
    const { breaker, clock, call, open } = setup();
    open();
    const pauses = [];
    for (let i = 0; i < 4; i += 1) {
      pauses.push(breaker.retryAfterMs());
      clock.now += breaker.retryAfterMs();
      call('failure');
    }
    assert.deepEqual(pauses, [100, 200, 350, 350]);
    clock.now += 350;
    call('success');
    open();
    assert.equal(breaker.retryAfterMs(), 100);
  });

  it('probes again where the caller of a probe left', () => {
    const { breaker, clock, call, open } = setup();
    open();
    clock.now += 100;
    call('abandoned');
    assert.equal(breaker.state, 'half-open');
    call('success');
    assert.equal(breaker.state, 'closed');
  });

  it('ignores outcomes of calls that were admitted before it opened', () => {
    const { breaker, clock, open } = setup();
    const old = breaker.admit()!;
    open();
    clock.now += 100;
    const probe = breaker.admit()!;
    breaker.settle(old, 'success');
    assert.equal(breaker.state, 'half-open');
    breaker.settle(probe, 'success');
    breaker.settle(old, 'failure');
    assert.equal(breaker.state, 'closed');
  });

  it('never has two probes at a time, and closes through a successful one only', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('admit' as const) }),
      fc.record({
        kind: fc.constant('settle' as const),
        index: fc.nat(10),
        outcome: fc.constantFrom<CallOutcome>('success', 'failure', 'abandoned'),
      }),
      fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 400 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const { breaker, clock, changes } = setup();
        const calls: { permit: number; probe: boolean }[] = [];
        for (const each of steps) {
          if (each.kind === 'wait') clock.now += each.ms;
          else if (each.kind === 'admit') {
            const permit = breaker.admit();
            if (permit === undefined) continue;
            const probe = breaker.state === 'half-open';
            if (probe) assert.ok(!calls.some((call) => call.probe && call.permit === permit), 'a second probe');
            calls.push({ permit, probe });
          } else if (calls.length > 0) {
            const [call] = calls.splice(each.index % calls.length, 1);
            const before = changes.length;
            breaker.settle(call!.permit, each.outcome);
            if (changes.slice(before).includes('closed')) {
              assert.ok(call!.probe && each.outcome === 'success');
            }
          }
        }
      }),
    );
  });
});
