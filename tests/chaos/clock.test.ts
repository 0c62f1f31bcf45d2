import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { clockFlags } from './system.ts';

const script = `
  const { setTimeout: sleep } = await import('node:timers/promises');
  const since = performance.now();
  await sleep(5);
  class Later extends Date {}
  console.log(JSON.stringify({
    now: Date.now(), made: +new Date(), called: +new Date(Date()), origin: performance.timeOrigin + performance.now(),
    inherited: +new Later(), given: +new Date(7), parsed: +new Date('2026-01-01T00:00:00Z'), utc: Date.UTC(2026, 0, 1),
    isDate: new Date() instanceof Date && new Later() instanceof Later, pause: performance.now() - since,
  }));`;

/** What a program reads of a clock. */
async function read(aheadMs: number): Promise<Record<string, number> & { isDate: boolean }> {
  const args = ['--no-warnings', ...clockFlags(aheadMs), '--input-type=module', '--eval', script];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout) as Record<string, number> & { isDate: boolean };
}

test('every reading of the time of day is ahead, or behind, and no given time and no pause is', async () => {
  for (const aheadMs of [5 * 3_600_000, -5 * 3_600_000]) {
    const begin = Date.now();
    const { now, made, called, origin, inherited, given, parsed, utc, isDate, pause } = await read(aheadMs);
    for (const time of [now, made, called, origin, inherited])
      assert.ok(Math.abs(time! - aheadMs - begin) < 30_000, new Date(time!).toISOString());
    assert.deepEqual([given, parsed, utc, isDate], [7, Date.UTC(2026, 0, 1), Date.UTC(2026, 0, 1), true]);
    assert.ok(pause! >= 4 && pause! < 10_000);
  }
});

test('a right clock needs no flag', () => assert.deepEqual(clockFlags(0), []));
