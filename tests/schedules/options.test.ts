import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseScheduleOptions } from './options.ts';

describe('the options of npm run schedules', () => {
  it('have defaults', () => {
    const endless = Number.POSITIVE_INFINITY;
    assert.deepEqual(parseScheduleOptions([], 7), { seed: 7, minutes: 10, schedules: endless, stop: false });
    assert.deepEqual(parseScheduleOptions(['--schedules', '3', '--seed', '0', '--stop'], 7), {
      seed: 0,
      minutes: endless,
      schedules: 3,
      stop: true,
    });
    assert.equal(parseScheduleOptions(['--schedules', '3', '--minutes', '0.5'], 7).minutes, 0.5);
  });

  it('say what is wrong', () => {
    assert.throws(() => parseScheduleOptions(['--seed', 'x'], 7), /--seed is x/);
    assert.throws(() => parseScheduleOptions(['--minutes', '0'], 7), /--minutes is 0/);
    assert.throws(() => parseScheduleOptions(['--sedes', '1'], 7), /--sedes/);
  });
});
