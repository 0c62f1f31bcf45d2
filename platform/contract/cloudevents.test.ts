import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Type } from 'typebox';
import { InvalidEvent, contractDecoder, encodeHeaders } from './cloudevents.ts';

const schema = Type.Object({ userId: Type.Integer(), version: Type.Integer(), deletedAt: Type.String() });
const decodeEvent = contractDecoder({ 'user.deleted': { summary: 'A user is gone', topics: ['user-events'], schema } });

const data = { userId: 1, version: 2, deletedAt: '2026-01-01T00:00:00.000Z' };
const envelope = {
  id: 'user-1-2',
  type: 'user.deleted',
  source: '/users',
  subject: '1',
  time: new Date('2026-01-01T00:00:00.000Z'),
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
};
const message = (changes: object = {}) => ({
  topic: 'user-events',
  partition: 0,
  offset: 7n,
  key: '1',
  value: Buffer.from(JSON.stringify(data)),
  headers: encodeHeaders(envelope),
  ...changes,
});

test('an event arrives as it was sent', () => {
  const event = decodeEvent(message());
  assert.deepEqual(event, {
    id: 'user-1-2',
    type: 'user.deleted',
    source: '/users',
    subject: '1',
    time: Date.parse('2026-01-01T00:00:00.000Z'),
    data,
    topic: 'user-events',
    partition: 0,
    offset: 7n,
    key: '1',
    traceparent: envelope.traceparent,
  });
});

test('a message that is not an event of the contract says why', () => {
  const without = (name: string) => {
    const headers = encodeHeaders(envelope);
    delete headers[name];
    return { headers };
  };
  const cases: [object, RegExp][] = [
    [without('ce_id'), /ce_id/],
    [without('ce_time'), /ce_time/],
    [{ value: null }, /empty/],
    [{ value: Buffer.from('{') }, /not JSON/],
    [{ value: Buffer.from('{"userId":"x","version":1}') }, /does not fit user\.deleted: .*deletedAt/],
  ];
  for (const [changes, reason] of cases) {
    assert.throws(
      () => decodeEvent(message(changes)),
      (error: unknown) => error instanceof InvalidEvent && reason.test(error.message),
    );
  }
});

test('a type that the contract does not know passes unchecked', () => {
  const event = decodeEvent(message({ headers: encodeHeaders({ ...envelope, type: 'user.promoted' }) }));
  assert.equal(event.type, 'user.promoted');
});

test('a type named like a member of every object is no known type', () => {
  const headers = encodeHeaders({ ...envelope, type: 'constructor' });
  assert.equal(decodeEvent(message({ headers })).type, 'constructor');
});
