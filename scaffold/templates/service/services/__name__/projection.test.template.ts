//? consumes
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { ReceivedEvent } from '#platform/contract';
import { transaction } from '#platform/postgres';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { project } from './projection.ts';
import { __Entity__Store } from './store.ts';

const at = (second: number) => Date.parse('2026-01-01T00:00:00.000Z') + second * 1_000;

function received(key: string, id: string, time: number): ReceivedEvent {
  return {
    id,
    type: 'thing.changed',
    source: '/tests',
    subject: key,
    time,
    data: {},
    topic: 'things',
    partition: 0,
    offset: 0n,
    key,
    traceparent: undefined,
  };
}

describe('the projection of __name__', () => {
  let database: TestDatabase;
  before(async () => {
    database = await createTestDatabase('__name__');
  });
  after(() => database.drop());

  const give = (...events: ReceivedEvent[]) => transaction(database.pool, (tx) => project(tx, events));
  const ids = async () => {
    const rows = await new __Entity__Store(database.pool).latestEvents(10);
    return rows.map(({ key, eventId }) => `${key}: ${eventId}`);
  };

  it('has the latest event of each key, also if events are repeated or out of order', async () => {
    await give(received('1', 'one-1', at(1)), received('2', 'two-1', at(2)), received('1', 'one-2', at(3)));
    assert.deepEqual(await ids(), ['1: one-2', '2: two-1']);
    await give(received('1', 'one-1', at(1)), received('2', 'two-1', at(2)));
    assert.deepEqual(await ids(), ['1: one-2', '2: two-1']);
    await give(received('2', 'two-2', at(4)));
    assert.deepEqual(await ids(), ['2: two-2', '1: one-2']);
  });
});
//? end
