import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { planOf } from '#streams/engine';
import { queryOf } from '#streams/testing/support.ts';
import { havingSql } from './having.ts';

function sqlOf(having: string): string {
  const spec = `from: [{ topic: order-events }]
window: { tumbling: 1m }
select:
  - { name: revenue, sum: data.totalAmount }
  - { name: orders, count: true }
  - { name: average, avg: data.totalAmount }
having: '${having}'
emit: { to: analytics-alerts }
alert: { severity: info, message: x, threshold: 10.5 }`;
  return havingSql(planOf(queryOf('one', spec), 1, 1));
}

describe('having as SQL', () => {
  it('compares aggregates with numbers', () => {
    assert.equal(sqlOf('orders > 3'), 'accumulators[2] > 3::numeric');
    assert.equal(sqlOf('threshold >= revenue'), '10.5::numeric >= accumulators[1]');
    assert.equal(
      sqlOf('orders > 3 && (revenue < 5.0 || revenue > threshold)'),
      '(accumulators[2] > 3::numeric AND (accumulators[1] < 5::numeric OR accumulators[1] > 10.5::numeric))',
    );
  });

  it('lets everything pass that it cannot say', () => {
    assert.equal(sqlOf('average > 5.0'), 'true');
    assert.equal(sqlOf('!(orders > 3)'), 'true');
    assert.equal(sqlOf('orders > 3 && key == "7"'), '(accumulators[2] > 3::numeric AND true)');
  });
});
