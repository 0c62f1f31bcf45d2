import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { fillHours } from './assets/chart.js';
import { ago, ticks } from './assets/format.js';

describe('scale of a chart', () => {
  it('has a few round lines from 0 to at least the largest value', () => {
    assert.deepEqual(ticks(87_000, 4), [0, 25_000, 50_000, 75_000, 100_000]);
    assert.deepEqual(ticks(0.4, 4), [0, 0.1, 0.2, 0.30000000000000004, 0.4]);
    assert.deepEqual(ticks(0, 4), [0, 1]);
    fc.assert(
      fc.property(fc.double({ min: 1e-3, max: 1e13, noNaN: true }), (max) => {
        const lines: number[] = ticks(max, 4);
        assert.ok(lines.length >= 2 && lines.length <= 6, `${lines.length} lines`);
        assert.ok(lines.at(-1)! >= max * (1 - 1e-9));
      }),
    );
  });
});

describe('hours of a chart', () => {
  it('are complete, oldest first, with hours without an order', () => {
    const now = Date.parse('2026-01-01T02:30:00Z');
    const period = { periodStart: '2026-01-01T01:00:00.000Z', revenue: 5, orders: 2, averageOrderValue: 2.5 };
    assert.deepEqual(fillHours([period], 3, now), [
      { start: Date.parse('2026-01-01T00:00:00Z'), revenue: 0, orders: 0 },
      { start: Date.parse('2026-01-01T01:00:00Z'), revenue: 5, orders: 2 },
      { start: Date.parse('2026-01-01T02:00:00Z'), revenue: 0, orders: 0 },
    ]);
  });
});

describe('time that has passed', () => {
  it('has one unit', () => {
    const then = Date.parse('2026-01-01T00:00:00Z');
    const told = [0, 59, 60, 3_599, 3_600, 86_399, 86_400, -5].map((seconds) => ago(then, then + seconds * 1_000));
    assert.deepEqual(told, [
      '0 s ago',
      '59 s ago',
      '1 min ago',
      '59 min ago',
      '1 h ago',
      '23 h ago',
      '1 d ago',
      '0 s ago',
    ]);
  });
});
