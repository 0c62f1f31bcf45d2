import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { cut, queryOf, runs } from '#streams/testing/support.ts';
import { layoutOf } from './accumulators.ts';
import { mergeSessions, SessionList } from './sessions.ts';
import type { StoredSession } from './sessions.ts';

const gap = 10;
/** of a sum in which each event is a bit of its own */
const { accumulators } = layoutOf(
  queryOf('bits', 'from: [{ topic: order-events }]\nwindow: { session: 10ms }\nselect: [{ name: bits, sum: data.bit }]')
    .select,
);

interface Event {
  time: number;
  bit: number;
}

/** What has come of events: the sessions with the sums of their bits, and how many events were refused. */
interface Outcome {
  sessions: StoredSession[];
  refused: number;
}

function take({ sessions, refused }: Outcome, batch: readonly Event[]): Outcome {
  const list = new SessionList(gap, accumulators);
  for (const { time, bit } of batch) list.add(time, [bit], { time, traceparent: undefined });
  const changes = mergeSessions(accumulators, sessions, list.sessions, true);
  const replaced = new Set([...changes.absorbed, ...changes.merged.map(({ start }) => start)]);
  return {
    sessions: [...sessions.filter(({ start }) => !replaced.has(start)), ...changes.merged],
    refused: refused + changes.refused.reduce((sum, { delta }) => sum + delta.events, 0),
  };
}

const nothing: Outcome = { sessions: [], refused: 0 };

function said({ sessions, refused }: Outcome) {
  const each = sessions.map(({ start, end, closed, accumulators: [sum] }) => ({ start, end, closed, sum }));
  return { sessions: each.toSorted((a, b) => a.start - b.start), refused };
}

const eventsOf = (times: readonly number[]): Event[] => times.map((time, i) => ({ time, bit: 2 ** i }));
const times = fc.array(fc.integer({ min: -40, max: 100 }), { maxLength: 20 });

/** Sessions of which some are closed. */
const kept = fc.tuple(times, fc.array(fc.boolean(), { minLength: 20, maxLength: 20 })).map(([own, closed]) => {
  const { sessions } = take(nothing, eventsOf(own));
  return { sessions: sessions.map((session, i) => ({ ...session, closed: closed[i]! })), refused: 0 };
});

describe('sessions beside closed ones', () => {
  it('refuse an event by its own time, not with those that it comes with', () => {
    const [first] = take(nothing, eventsOf([0])).sessions;
    const closed: Outcome = { sessions: [{ ...first!, closed: true }], refused: 0 };
    const [early, later] = eventsOf([8, 17]) as [Event, Event];
    const expected = {
      sessions: [
        { start: 0, end: 10, closed: true, sum: '1' },
        { start: 17, end: 27, closed: false, sum: '2' },
      ],
      refused: 1,
    };
    for (const batches of [[[early, later]], [[early], [later]], [[later], [early]]])
      assert.deepEqual(said(batches.reduce(take, closed)), expected);
  });

  it('are the same, however the events are ordered and divided into batches', () => {
    const orders = fc.array(fc.nat(), { minLength: 20, maxLength: 20 });
    fc.assert(
      fc.property(kept, times, orders, fc.array(fc.integer({ min: 1, max: 20 })), (before, own, order, sizes) => {
        const events = eventsOf(own);
        const shuffled = events.toSorted((a, b) => order[Math.log2(a.bit)]! - order[Math.log2(b.bit)]!);
        const after = cut(shuffled, sizes).reduce(take, before);
        assert.deepEqual(said(after), said(take(before, events)));
        const closed = before.sessions.filter((session) => session.closed);
        const late = own.filter((time) => closed.some(({ start, end }) => start <= time + gap && time <= end));
        assert.equal(after.refused, late.length);
      }),
      { numRuns: runs(500, 20_000) },
    );
  });
});
