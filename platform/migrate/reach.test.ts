import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { untilReachable } from './reach.ts';

const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
const starting = Object.assign(new Error('the database system is starting up'), { code: '57P03' });
const forbidden = Object.assign(new Error('permission denied'), { code: '42501' });

/** Waits for a database. @param answer what it answers after some milliseconds @returns for how long, and what was said */
async function waitFor(answer: (afterMs: number) => Promise<void>) {
  const said: string[] = [];
  let ms = 0;
  const clock = { now: () => ms, sleep: async (pause: number) => void (ms += pause) };
  await untilReachable(
    () => answer(ms),
    (reason) => said.push(reason),
    clock,
  );
  return { ms, said };
}

describe('a migration waits for its database', () => {
  test('through an outage of many minutes, and says for what', async () => {
    const { ms, said } = await waitFor((afterMs) => {
      if (afterMs < 600_000) return Promise.reject(refused);
      return afterMs < 660_000 ? Promise.reject(starting) : Promise.resolve();
    });
    assert.equal(ms, 660_000);
    assert.deepEqual(said, ['connect ECONNREFUSED', 'the database system is starting up']);
  });

  test('not for ever', async () => {
    const { ms } = await waitFor(() => Promise.reject(refused));
    assert.equal(ms, 720_000);
  });

  test('not for long where the server answers and refuses', async () => {
    const { ms } = await waitFor(() => Promise.reject(forbidden));
    assert.equal(ms, 30_000);
  });
});
