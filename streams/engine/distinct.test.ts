import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { DistinctSet } from './distinct.ts';
import { HyperLogLog } from './hyperloglog.ts';

const bound = 20;

function setOf(texts: Iterable<string>): DistinctSet {
  const set = new DistinctSet(bound);
  for (const text of texts) set.add(text);
  return set;
}

describe('a set of different texts', () => {
  const texts = fc.array(fc.oneof(fc.nat(60).map(String), fc.string({ unit: 'binary', maxLength: 3 })), {
    maxLength: 80,
  });

  it('counts exactly up to its bound, and says more than the bound beyond it', () => {
    fc.assert(
      fc.property(texts, (all) => {
        const { size } = new Set(all);
        const count = setOf(all).count();
        if (size <= bound) assert.equal(count, size);
        else assert.ok(count > bound && Math.abs(count - size) <= 3, `${count} for ${size}`);
      }),
    );
  });

  it('is the same in whatever parts it is merged and kept, and however often a part comes', () => {
    fc.assert(
      fc.property(fc.array(texts, { minLength: 1, maxLength: 4 }), (parts) => {
        const whole = setOf(parts.flat());
        const merged = [...parts, ...parts].map(setOf).reduceRight((a, b) => {
          const kept = DistinctSet.parse(a.toString(), bound);
          kept.merge(DistinctSet.parse(b.toString(), bound));
          return kept;
        });
        assert.equal(merged.count(), whole.count());
        const [a, b] = [merged, whole].map((set) => set.toString());
        if (a!.startsWith('[')) assert.deepEqual(new Set(JSON.parse(a!)), new Set(JSON.parse(b!)));
        else assert.equal(a, b);
      }),
    );
  });
});

describe('a sketch', () => {
  it('is off by its standard error, 1.6 %, and leans to no side', () => {
    for (const size of [100, 1_000, 5_000, 20_000]) {
      const errors = Array.from({ length: 30 }, (_, run) => {
        const sketch = new HyperLogLog();
        for (let i = 0; i < size; i++) sketch.add(`user-${run}-${i}`);
        return sketch.estimate() / size - 1;
      });
      const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
      const deviation = Math.sqrt(errors.reduce((sum, error) => sum + error ** 2, 0) / errors.length);
      assert.ok(Math.abs(mean) < 0.01, `${size}: mean ${mean}`);
      assert.ok(deviation < 0.022, `${size}: deviation ${deviation}`);
    }
  });

  it('counts nothing as nothing', () => {
    assert.equal(new HyperLogLog().estimate(), 0);
  });
});
