import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { describeFindings } from './report.ts';
import { Stand } from './schedule.ts';

/** as many as there is time for in a few seconds, but no more than these */
const most = 40;
const forMs = 5_000;

describe('outbox, inbox and stream engine under drawn schedules', () => {
  let stand: Stand;
  before(async () => {
    stand = await Stand.open();
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
