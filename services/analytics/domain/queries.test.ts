import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { streamQueryFiles } from '#platform/declarations';
import { loadQueries, queryTopics } from '#streams/language';

describe('the declared queries', () => {
  it('are the nine of the design and those of the dashboard, without a fault', () => {
    const queries = loadQueries(streamQueryFiles(), queryTopics());
    const emitted = queries
      .filter(({ emit }) => emit)
      .map(({ name, windowText, emit }) => [name, windowText, emit!.to]);
    assert.deepEqual(emitted, [
      ['high-value-order', null, 'analytics-alerts'],
      ['low-revenue', 'tumbling 1h', 'analytics-alerts'],
      ['new-users', 'tumbling 30m', 'analytics-events'],
      ['order-volume-spike', 'tumbling 1m', 'analytics-alerts'],
      ['orders-by-status', 'tumbling 5m', 'analytics-events'],
      ['revenue-by-user', 'tumbling 1h', 'revenue-analytics'],
      ['revenue', 'tumbling 10m', 'revenue-analytics'],
      ['user-activity-spike', 'tumbling 5m', 'analytics-alerts'],
      ['user-activity', 'tumbling 15m', 'user-activity-analytics'],
    ]);
  });
});
