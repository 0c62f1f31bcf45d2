import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GreenWatch, type HopSample } from './watch.ts';

const sample = (pending: number, position: string, part = 'order-events/0'): HopSample => ({
  name: `projection ${part}`,
  hop: 'projection',
  service: 'orders',
  pending,
  position,
});
const green: ReadonlySet<string> = new Set(['orders']);

/** Observes a second after the other. */
function watch(seconds: number, at: (second: number) => { green: ReadonlySet<string>; samples: HopSample[] }) {
  const watched = new GreenWatch();
  for (let second = 0; second <= seconds; second++) {
    const { green: up, samples } = at(second);
    watched.observe(second * 1000, new Map([...up].map((service) => [service, second * 1000])), samples);
  }
  return watched.falseGreens;
}

test('a green service whose hop stands still with work is a false green after 15 s, once', () => {
  assert.deepEqual(
    watch(15, () => ({ green, samples: [sample(3, '7')] })),
    [],
  );
  const found = watch(20, () => ({ green, samples: [sample(3, '7')] }));
  assert.deepEqual(found, [{ hop: 'projection', service: 'orders', seconds: 20 }]);
});

test('it is none while the hop moves, has no work, or the service is not green', () => {
  const cases: ((second: number) => { green: ReadonlySet<string>; samples: HopSample[] })[] = [
    (second) => ({ green, samples: [sample(3, String(second))] }),
    () => ({ green, samples: [sample(0, '7')] }),
    (second) => ({ green: second % 10 === 0 ? new Set<string>() : green, samples: [sample(3, '7')] }),
  ];
  for (const at of cases) assert.deepEqual(watch(60, at), []);
});

test('one partition that stands still beside others that move is seen', () => {
  const found = watch(30, (second) => ({
    green,
    samples: [sample(3, '7'), sample(1, String(second), 'order-events/1')],
  }));
  assert.equal(found.length, 1);
});

test('two episodes count twice', () => {
  const found = watch(60, (second) => ({ green, samples: [sample(3, second < 30 ? '7' : '8')] }));
  assert.equal(found.length, 2);
});

test('it is none where the service was asked last before the 15 s were over', () => {
  const watched = new GreenWatch();
  for (let second = 0; second <= 16; second++)
    watched.observe(second * 1000, new Map([['orders', Math.min(second, 14.9) * 1000]]), [sample(3, '7')]);
  assert.deepEqual(watched.falseGreens, []);
});
