import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { describeFindings } from './report.ts';
import { Stand } from './stand.ts';

/** as many as there is time for in a few seconds, but no more than these */
const most = 40;
const forMs = 5_000;
const usual = { steps: 20_000, stillMs: 60_000 };

describe('outbox, inbox and stream engine under drawn schedules', () => {
  let stand: Stand;
  before(async () => {
    stand = await Stand.open(usual);
  });
  after(() => stand.close());

  it('lose, double and reorder nothing', async (context) => {
    const since = performance.now();
    const first = Date.now() % 1_000_000;
    let schedules = 0;
    let steps = 0;
    for (; schedules < most && performance.now() - since < forMs; schedules += 1) {
      const result = await stand.play(first + schedules);
      steps += result.steps;
      assert.deepEqual(result.findings, [], describeFindings(result).join('\n'));
    }
    context.diagnostic(`${schedules} schedules from seed ${first} on, ${steps} steps`);
    assert.ok(schedules > 0 && steps > 100);
  });
});

describe('a schedule that does not end', () => {
  for (const [what, limits] of Object.entries({
    'has too many steps': { steps: 0, stillMs: 50 },
    'has no step for too long': { steps: Number.POSITIVE_INFINITY, stillMs: 1 },
  }))
    it(`is a finding, and is given up: it ${what}`, async () => {
      const stand = await Stand.open(limits);
      try {
        const { findings } = await stand.play(1);
        assert.deepEqual(
          findings.map(({ kind }) => kind),
          ['endless'],
        );
        assert.match(findings[0]!.what, /^it does not end: after \d+ steps, at [\d.]+ s of its own, it /);
      } finally {
        await stand.close();
      }
    });
});
