import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { runs } from '#streams/testing/support.ts';
import { decide, differences, rewind } from './decisions.ts';
import type { Declaration, KnownVersion, Start } from './decisions.ts';

const names = ['a', 'b'];

/** A definition is a letter, which says what the windows mean, and a number, which does not. */
const declaration = fc
  .record({ name: fc.constantFrom(...names), letter: fc.constantFrom('x', 'y', 'z'), number: fc.nat(2) })
  .map(({ name, letter, number }): Declaration => ({ name, fingerprint: letter, definition: `${letter}${number}` }));

const step = fc.oneof(
  { weight: 4, arbitrary: declaration },
  { weight: 1, arbitrary: fc.constantFrom(...names).map((name) => ({ remove: name })) },
  { weight: 2, arbitrary: fc.constantFrom(...names).map((name) => ({ catchesUp: name })) },
);

describe('what is done about changes of the declarations', () => {
  it('leaves one version that serves and one that is built at most, the newest being what is declared', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        let live: KnownVersion[] = [];
        let nextId = 1;
        const declared = new Map<string, Declaration>();
        for (const one of steps) {
          if ('catchesUp' in one) {
            const ready = live.find(({ name, isBuilding }) => name === one.catchesUp && isBuilding);
            if (ready) {
              live = live.filter(({ name, id }) => name !== ready.name || id >= ready.id);
              live = live.map((version) => (version === ready ? { ...version, isBuilding: false } : version));
            }
          } else {
            const changed = 'remove' in one ? [] : [one];
            const removed = 'remove' in one ? [one.remove] : [];
            if ('remove' in one) declared.delete(one.remove);
            else declared.set(one.name, one);
            const serving = live.filter(({ isBuilding }) => !isBuilding);
            const { register, redefine, retire } = decide(live, changed, removed);
            live = live.filter(({ id }) => !retire.includes(id));
            for (const { id, declaration: to } of redefine)
              live = live.map((version) => (version.id === id ? { ...version, definition: to.definition } : version));
            for (const of of register) live.push({ ...of, id: nextId, version: nextId++, isBuilding: true });
            assert.deepEqual(
              decide(live, changed, removed),
              { register: [], redefine: [], retire: [] },
              'once is enough',
            );
            const gone = serving.filter(({ id }) => retire.includes(id));
            assert.ok(
              gone.every(({ name }) => removed.includes(name)),
              'what serves goes on until it is taken over from',
            );
          }
          for (const name of names) {
            const own = live.filter((version) => version.name === name);
            assert.ok(own.filter(({ isBuilding }) => isBuilding).length <= 1);
            assert.ok(own.filter(({ isBuilding }) => !isBuilding).length <= 1);
            assert.equal(own.at(-1)?.definition, declared.get(name)?.definition);
          }
        }
      }),
      { numRuns: runs(200, 5_000) },
    );
  });

  it('retires at once what nobody can run any more', () => {
    const lost = { id: 1, name: 'a', version: 1, fingerprint: 'x', definition: null, isBuilding: false };
    const anew = { name: 'a', fingerprint: 'y', definition: 'y0' };
    assert.deepEqual(decide([lost], [anew], []), { register: [anew], redefine: [], retire: [1] });
    const same = { name: 'a', fingerprint: 'x', definition: 'x0' };
    assert.deepEqual(decide([lost], [same], []).redefine, [{ id: 1, declaration: same }]);
  });

  it('acts on what changed in the files only, and removes nothing while a file hides its name', () => {
    const before = new Map([
      ['a', 'x0'],
      ['b', 'y0'],
      ['c', 'z0'],
    ]);
    const declared = [
      { name: 'a', definition: 'x0' },
      { name: 'd', definition: 'x1' },
    ];
    const faulty = new Set(['b']);
    assert.deepEqual(differences(before, { declared, faulty, isReadable: true }), {
      changed: [declared[1]],
      removed: ['c'],
    });
    assert.deepEqual(differences(before, { declared, faulty, isReadable: false }).removed, []);
  });
});

describe('the backfill of a partition', () => {
  it('brings each version each event once, in order, whenever versions begin or are retired', () => {
    const action = fc.oneof(
      { weight: 6, arbitrary: fc.record({ read: fc.integer({ min: 1, max: 10 }) }) },
      { weight: 1, arbitrary: fc.record({ begin: fc.integer({ min: 1, max: 2 }) }) },
      { weight: 1, arbitrary: fc.record({ retire: fc.nat(5) }) },
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), fc.nat(3), (actions, low) => {
        const end = 40;
        let position = 17n; // where the last backfill stopped
        let starts: Start[] = [];
        let nextId = 1;
        const taken = new Map<number, bigint[]>();
        const read = (count: number) => {
          for (let i = 0; i < count && position < end; i++) {
            for (const { id, from } of starts) if (position >= from) taken.get(id)!.push(position);
            position += 1n;
          }
        };
        for (const one of actions) {
          if ('read' in one) read(one.read);
          else if ('retire' in one) starts = starts.filter(({ id }) => id !== one.retire);
          else {
            const beginning = Array.from({ length: one.begin }, () => nextId++);
            for (const id of beginning) taken.set(id, []);
            ({ position, starts } = rewind(position, starts, beginning, BigInt(low)));
          }
        }
        read(Infinity);
        const all = Array.from({ length: end - low }, (_, i) => BigInt(low + i));
        for (const { id } of starts) assert.deepEqual(taken.get(id), all);
      }),
      { numRuns: runs(300, 5_000) },
    );
  });

  it('lets new versions take a topic from its first event, also one that is created again before it is read', () => {
    const begun = [{ id: 2, from: 0n }];
    assert.deepEqual(rewind(150n, [], [2], 100n), { position: 100n, starts: begun, isElsewhere: true });
    assert.deepEqual(rewind(150n, [{ id: 1, from: 0n }], [2], 100n), {
      position: 100n,
      starts: [{ id: 1, from: 150n }, ...begun],
      isElsewhere: true,
    });
    assert.deepEqual(rewind(undefined, [{ id: 1, from: 150n }], [2], 100n), {
      position: 100n,
      starts: [{ id: 1, from: 0n }, ...begun],
      isElsewhere: true,
    });
  });
});
