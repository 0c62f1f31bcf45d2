import assert from 'node:assert/strict';
import { it } from 'node:test';
import { rawRecordEvent } from './record-batch.ts';
import type { OutboxRow } from './rows.ts';
import { Unparkable } from './unparkable.ts';

const row: Omit<OutboxRow, 'id'> = {
  shard: 0,
  xid: 1,
  head: true,
  cut: false,
  topic: 'orders',
  key: 'pack-0',
  event_id: 'e',
  type: 't',
  source: '/s',
  data: Buffer.from('{}'),
  headers: null,
  traceparent: null,
  created_at: new Date(),
};
const single = (id: number, key: string, topic = 'orders'): OutboxRow => ({ ...row, id, key, topic });

function batch(id: number, keys: readonly string[]): OutboxRow {
  const event = { topic: 'orders', key: 'pack-0', eventId: 'e', type: 't', source: '/s' };
  const records = keys.map((key) => rawRecordEvent(event, { key: Buffer.from(key), value: null, headers: [] }));
  const data = Buffer.concat(records.map((record) => record.data as Buffer));
  return { ...row, id, data, headers: records[0]!.headers! };
}

it('lets a key wait for a pause, with those of a record batch that waits for it, and no others', () => {
  const unparkable = new Unparkable();
  const rows = [
    single(1, 'a'),
    batch(2, ['a', 'b']),
    single(3, 'b'),
    single(4, 'c'),
    batch(5, ['c', 'd']),
    single(6, 'a', 'users'),
  ];
  const left = (now: number) => unparkable.without(rows, now).map(({ id }) => id);
  assert.deepEqual(left(0), [1, 2, 3, 4, 5, 6]);
  unparkable.note(['orders a'], 0);
  assert.deepEqual(left(1_999), [4, 5, 6]);
  assert.deepEqual(left(2_000), [1, 2, 3, 4, 5, 6]);
});
