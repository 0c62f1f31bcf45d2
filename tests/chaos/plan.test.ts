import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { clusterDraws, type ClusterFaultKind } from '../cluster/chaos/draws.ts';
import { clockOf, draws, drawFrom, drawPlan, faultKinds, type FaultKind } from './plan.ts';

const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });
const lengths = fc.integer({ min: 1, max: 10 });

test('the same seed and length make the same plan', () => {
  fc.assert(
    fc.property(seeds, lengths, (seed, minutes) => assert.deepEqual(drawPlan(seed, minutes), drawPlan(seed, minutes))),
  );
});

test('steps follow each other, each with one fault or two different ones, within the length', () => {
  fc.assert(
    fc.property(seeds, lengths, (seed, minutes) => {
      const { steps } = drawPlan(seed, minutes);
      assert.ok(steps.length > 0);
      let free = 0;
      for (const { at, faults, rest } of steps) {
        assert.ok(at >= free, 'it begins when the step before it has rested');
        assert.ok(faults.length === 1 || faults.length === 2);
        assert.equal(new Set(faults.map(({ kind, target }) => `${kind} ${target}`)).size, faults.length);
        for (const { kind, target, seconds } of faults) {
          const draw: { targets: readonly string[]; seconds: readonly [number, number] } = draws[kind];
          assert.ok(draw.targets.includes(target));
          assert.ok(seconds >= draw.seconds[0] && seconds <= draw.seconds[1]);
        }
        free = at + Math.max(...faults.map(({ seconds }) => seconds)) + rest;
      }
      assert.ok(steps.length === 1 || free <= minutes * 60);
    }),
  );
});

test('a plan has only the kinds that are asked for', () => {
  const kinds: FaultKind[] = ['kill', 'freeze'];
  for (const { faults } of drawPlan(7, 10, kinds).steps) for (const { kind } of faults) assert.ok(kinds.includes(kind));
});

test('every kind and every target is drawn, alone and in pairs', () => {
  const steps = Array.from({ length: 300 }, (_, seed) => drawPlan(seed, 5)).flatMap((plan) => plan.steps);
  const drawn = new Set(steps.flatMap(({ faults }) => faults.map(({ kind, target }) => `${kind} ${target}`)));
  for (const kind of faultKinds) for (const target of draws[kind].targets) assert.ok(drawn.has(`${kind} ${target}`));
  assert.ok(steps.some(({ faults }) => faults.length === 1) && steps.some(({ faults }) => faults.length === 2));
});

test('every kind and every target of a cluster is drawn', () => {
  const kinds = Object.keys(clusterDraws) as ClusterFaultKind[];
  const plans = Array.from({ length: 300 }, (_, seed) => drawFrom(clusterDraws, kinds, { seed, minutes: 5 }));
  const faults = plans.flatMap(({ steps }) => steps.flatMap((step) => step.faults));
  const drawn = new Set(faults.map(({ kind, target }) => `${kind} ${target}`));
  for (const kind of kinds) for (const target of clusterDraws[kind].targets) assert.ok(drawn.has(`${kind} ${target}`));
});

test('a wrong clock is wrong by a minute to eleven hours, either way', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (choice) => {
      const minutes = Math.abs(clockOf(choice)) / 60_000;
      assert.ok(minutes >= 1 && minutes <= 11 * 60);
      assert.equal(clockOf(choice) < 0, choice < 0.5);
    }),
  );
});
