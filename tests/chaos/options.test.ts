import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandFor, localCommand, parseChaosOptions } from './options.ts';
import { faultKinds } from './plan.ts';

test('without arguments: one drawn seed, five minutes, every fault', () => {
  const options = { seeds: 1, minutes: 5, seed: 17, keep: false, kinds: faultKinds };
  assert.deepEqual(parseChaosOptions(localCommand, [], 17), options);
});

test('arguments are read', () => {
  const args = ['--seeds', '10', '--minutes', '2', '--seed', '4', '--keep', '--faults', 'kill,lock'];
  assert.deepEqual(parseChaosOptions(localCommand, args, 17), {
    seeds: 10,
    minutes: 2,
    seed: 4,
    keep: true,
    kinds: ['kill', 'lock'],
  });
});

test('mistakes are named, with the usage', () => {
  for (const args of [
    ['--seeds', '0'],
    ['--minutes', '1.5'],
    ['--seed', 'x'],
    ['--faults', 'kill,quake'],
    ['--sede', '1'],
  ])
    assert.throws(
      () => parseChaosOptions(localCommand, args, 17),
      { name: 'Fault', hint: /npm run chaos/ },
      args.join(' '),
    );
});

test('the command for a seed draws from the same faults', () => {
  assert.equal(commandFor(localCommand, 7, { minutes: 2, kinds: faultKinds }), 'npm run chaos -- --seed 7 --minutes 2');
  assert.match(commandFor(localCommand, 7, { minutes: 2, kinds: ['kill', 'lock'] }), / --faults kill,lock$/);
});
