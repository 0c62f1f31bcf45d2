import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { orderEvent, queryOf, runs } from '#streams/testing/support.ts';
import { planOf } from './plan.ts';
import type { Plan } from './plan.ts';
import { backfillGroup } from '#platform/declarations';
import { Versions } from './versions.ts';
import type { Subscription } from './versions.ts';

const group = 'analytics';
const backfill = backfillGroup(group);
const partition0 = { topic: 'order-events', partition: 0 };
const spec = 'from: [{ topic: order-events }]\nwindow: { tumbling: 1m }\nselect: [{ name: orders, count: true }]\n';

function plan(id: number, isBuilding: boolean, timestamp = ''): Plan {
  return planOf(queryOf(`q${id}`, `${spec}${timestamp}`), id, 1, isBuilding);
}

function versionsOf(plans: readonly Plan[], members: readonly Subscription[]): Versions {
  const live = plans.map((own) => ({ plan: own, stamp: String(own.id), isReleased: true }));
  return new Versions(group, 1n, live, members);
}

describe('the versions that run', () => {
  it('take the events of a partition once, from the one group or the other, and all of them', () => {
    const candidates = [plan(1, false), plan(2, true), plan(3, true), plan(4, true)];
    const steps = fc.array(
      fc.record({ reads: fc.constantFrom('own', 'backfill'), count: fc.integer({ min: 1, max: 8 }) }),
    );
    fc.assert(
      fc.property(fc.nat(20), fc.array(fc.nat(20), { minLength: 1, maxLength: 3 }), steps, (own, starts, plan_) => {
        const events = Array.from({ length: 30 }, (_, i) => orderEvent({ id: i, offset: i }));
        const plans = candidates.slice(0, starts.length + 1);
        let members: Subscription[] = starts.map((from, i) => ({
          ...partition0,
          id: i + 2,
          group: backfill,
          from: BigInt(from),
        }));
        const position = { own, backfill: Math.min(...starts) };
        const taken = new Map(plans.map(({ id }) => [id, [] as number[]]));
        const turn = (reads: 'own' | 'backfill', count: number) => {
          const versions = versionsOf(plans, members);
          const from = position[reads];
          const batch = events.slice(from, from + count);
          for (const segment of versions.scheduleOf(reads === 'own' ? group : backfill, partition0).split(batch))
            for (const { id } of segment.plans.plans)
              taken.get(id)!.push(...segment.events.map(({ offset }) => Number(offset)));
          position[reads] = from + batch.length;
          if (reads === 'own' || position.own > position.backfill) return;
          const next = BigInt(position.backfill);
          const arrived = new Set(versions.promotable(partition0, next).plans.map(({ id }) => id));
          members = members.map((one) => (arrived.has(one.id) ? { ...one, group, from: next } : one));
        };
        for (const { reads, count } of plan_) turn(reads, count);
        turn('own', 30);
        turn('backfill', 30);
        turn('own', 30);
        assert.deepEqual(versionsOf(plans, members).backlog, []);
        assert.equal(versionsOf(plans, members).caughtUp.length, starts.length);
        for (const [id, offsets] of taken) {
          const first = id === 1 ? own : starts[id - 2]!;
          assert.deepEqual(
            offsets.toSorted((a, b) => a - b),
            Array.from({ length: 30 - first }, (_, i) => first + i),
          );
        }
      }),
      { numRuns: runs(300, 5_000) },
    );
  });

  it('ride along in partitions that nobody has said anything about', () => {
    const versions = versionsOf([plan(1, true)], [{ ...partition0, id: 1, group: backfill, from: 0n }]);
    assert.deepEqual(versions.scheduleOf(group, partition0).plans, []);
    assert.equal(versions.scheduleOf(group, { ...partition0, partition: 1 }).plans.length, 1);
    assert.deepEqual(versions.scheduleOf(backfill, { ...partition0, partition: 1 }).plans, []);
  });

  it('bring a clock of their own along, unless another version keeps it already', () => {
    const timestamp = 'timestamp: timestamp(data.createdAt)\n';
    const starting = { ...partition0, id: 2, group: backfill, from: 0n };
    const alone = versionsOf([plan(1, false), plan(2, true, timestamp)], [starting]);
    assert.equal(alone.promotable(partition0, 5n).clocks.length, 1);
    const kept = versionsOf([plan(1, false, timestamp), plan(2, true, timestamp)], [starting]);
    assert.deepEqual(kept.promotable(partition0, 5n), { plans: [kept.building[0]], clocks: [] });
    // one that joined at 9 has its clock there: the own group would find it ahead at 5
    const ahead = versionsOf(
      [plan(1, true, timestamp), plan(2, true, timestamp)],
      [{ ...partition0, id: 1, group, from: 9n }, starting],
    );
    assert.deepEqual(ahead.promotable(partition0, 5n).plans, []);
    assert.equal(ahead.promotable(partition0, 9n).plans.length, 1);
  });
});
