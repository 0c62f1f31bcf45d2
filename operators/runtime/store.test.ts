import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { Store } from './store.ts';
import { configMap } from './testing/support.ts';
import type { ConfigMap } from './testing/support.ts';

describe('a store', () => {
  it('finds by its indexes exactly what it holds', () => {
    const step = fc.record({
      name: fc.constantFrom('a', 'b', 'c'),
      values: fc.option(fc.uniqueArray(fc.constantFrom('x', 'y', 'z')), { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const store = new Store<ConfigMap>({ values: ({ data }) => Object.keys(data ?? {}) });
        const model = new Map<string, string[]>();
        for (const { name, values } of steps) {
          if (values) {
            model.set(name, values);
            store.set(configMap(name, Object.fromEntries(values.map((value) => [value, '1']))));
          } else {
            model.delete(name);
            store.delete(`test/${name}`);
          }
        }
        assert.equal(store.size, model.size);
        for (const value of ['x', 'y', 'z']) {
          const expected = [...model].filter(([, values]) => values.includes(value)).map(([name]) => name);
          assert.deepEqual(
            store
              .by('values', value)
              .map(({ metadata }) => metadata.name)
              .toSorted(),
            expected.toSorted(),
          );
        }
      }),
    );
    assert.throws(() => new Store().by('none', 'x'), /no index none/);
  });
});
