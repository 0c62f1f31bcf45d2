import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Type } from 'typebox';
import { InvalidEvent, contractDecoder, createDecoder, encodeHeaders, identityOf } from './cloudevents.ts';

const schema = Type.Object({ userId: Type.Integer(), version: Type.Integer(), deletedAt: Type.String() });
const decodeEvent = contractDecoder({
  'user.deleted': { summary: 'A user is gone', topics: ['user-events'], schema, source: '/users' },
});

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
    isForeign: false,
  });
});

test('an event is known by source and id, by the id alone where its own service has published it', () => {
  const identity = (changes: object) =>
    identityOf(decodeEvent(message({ headers: encodeHeaders({ ...envelope, ...changes }) })));
  const own = identity({});
  const foreign = identity({ source: '/elsewhere' });
  const unknown = identity({ type: 'user.renamed' });
  assert.deepEqual([own, foreign, unknown], ['user-1-2', '["/elsewhere","user-1-2"]', '["/users","user-1-2"]']);
  assert.notEqual(identity({ id: foreign }), foreign);
});

test('a message that is not an event of the contract says why', () => {
  const without = (name: string) => {
    const headers = encodeHeaders(envelope);
    delete headers[name];
    return { headers };
  };
  const cases: [object, RegExp][] = [
    [without('ce_id'), /ce_id/],
    [{ headers: { ...encodeHeaders(envelope), ce_time: 'noon' } }, /ce_time/],
    [without('ce_time'), /no time/],
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

test('an id, a type or a source that no index could hold is no event', () => {
  for (const name of ['id', 'type', 'source'] as const)
    for (const [text, isFine] of [
      ['x'.repeat(1_022), true],
      ['x'.repeat(1_023), false],
      ['ä'.repeat(511), true],
      ['ä'.repeat(512), false],
      ['"'.repeat(512), false],
    ] as const) {
      const decode = () => decodeEvent(message({ headers: encodeHeaders({ ...envelope, [name]: text }) }));
      if (isFine) assert.equal(decode()[name], text);
      else assert.throws(decode, InvalidEvent);
    }
});

test('an event without a time has that of its record', () => {
  const { ce_time: _, ...headers } = encodeHeaders(envelope);
  assert.equal(decodeEvent(message({ headers, timestamp: 1_234 })).time, 1_234);
  for (const timestamp of [-1, 1.8e18])
    assert.throws(() => decodeEvent(message({ headers, timestamp })), /the time of its record is none/);
});

test('an event in structured mode is that of its envelope', () => {
  const { time, ...attributes } = envelope;
  const structured = (changes: object, contentType = 'application/cloudevents+json; charset=UTF-8') =>
    message({
      headers: { 'content-type': contentType },
      value: Buffer.from(JSON.stringify({ specversion: '1.0', ...attributes, time, data, ...changes })),
      timestamp: 1_234,
    });
  const expected = decodeEvent(message());
  assert.deepEqual(decodeEvent(structured({})), expected);
  const data_base64 = Buffer.from(JSON.stringify(data)).toString('base64');
  assert.deepEqual(decodeEvent(structured({ data: undefined, data_base64 }, 'Application/CloudEvents+JSON')), expected);
  assert.equal(decodeEvent(structured({ time: undefined })).time, 1_234);
  const cases: [ReturnType<typeof message>, RegExp][] = [
    [structured({ id: undefined }), /required/],
    [structured({ source: 1 }), /required/],
    [structured({ id: 'a\0b' }), /control/],
    [structured({ id: '\ud800' }), /surrogate/],
    [structured({ time: 'noon' }), /not a time/],
    [structured({ data: undefined }), /empty/],
    [structured({ data: { userId: 'x' } }), /does not fit user\.deleted/],
    [{ ...structured({}), value: Buffer.from('7') }, /not a CloudEvent|required/],
    [structured({}, 'application/cloudevents-batch+json'), /cloudevents-batch\+json are not supported/],
    [structured({}, 'application/cloudevents+avro'), /avro are not supported/],
  ];
  for (const [one, reason] of cases)
    assert.throws(
      () => decodeEvent(one),
      (error: unknown) => error instanceof InvalidEvent && reason.test(error.message),
    );
});

test('the data of an event in structured mode keep each digit', () => {
  const read = createDecoder(({ value }) => String(value));
  const headers = { 'content-type': 'application/cloudevents+json' };
  const json = '{"n":9007199254740993,"m":[0.10000000000000000001,-0,1e400]}';
  const text = `{"specversion":"1.0","id":"1","type":"t","source":"/s","time":"2026-01-01T00:00:00Z","data":${json}}`;
  assert.equal(read(message({ headers, value: Buffer.from(text) })).data, json);
});

test('a value with the frame of a Schema Registry is named as such, also without the headers of an event', () => {
  const value = Buffer.concat([Buffer.from([0, 0, 0, 0, 42]), Buffer.from(JSON.stringify(data))]);
  for (const framed of [message({ value }), message({ value, headers: {} })])
    assert.throws(() => decodeEvent(framed), /frame of a Schema Registry \(schema 42\)/);
  assert.throws(() => decodeEvent(message({ headers: {} })), /ce_id, ce_type and ce_source are required/);
});

test('a large value costs little, whether or not it fits, in both modes', () => {
  const items = Type.Object({ items: Type.Array(Type.Object({ productId: Type.Integer() }), { maxItems: 100 }) });
  const decode = contractDecoder({ placed: { summary: 's', topics: ['t'], schema: items, source: '/s' } });
  const headers = encodeHeaders({ ...envelope, type: 'placed' });
  const zeros = `{"items":[0${',0'.repeat(2_000_000)}]}`;
  const whole = `{"id":"1","type":"placed","source":"/s","time":"2026-01-01T00:00:00Z","data":${zeros}}`;
  const inStructuredMode = { headers: { 'content-type': 'application/cloudevents+json' }, value: Buffer.from(whole) };
  const before = process.cpuUsage();
  for (const changes of [{ headers, value: Buffer.from(zeros) }, inStructuredMode])
    assert.throws(() => decode(message(changes)), /does not fit placed: it is too large to say where/);
  const { user, system } = process.cpuUsage(before);
  assert.ok(user + system < 1_500_000, `${(user + system) / 1_000} ms`);
  const tooLarge = Buffer.from(`{"items":"${'x'.repeat(4 * 1024 * 1024)}"}`);
  assert.throws(() => decode(message({ headers, value: tooLarge })), /more than 4 MiB/);
});

test('a traceparent that is none is ignored', () => {
  const headers = { ...encodeHeaders(envelope), traceparent: `${envelope.traceparent.slice(0, 54)}\0` };
  assert.equal(decodeEvent(message({ headers })).traceparent, undefined);
});

test('a type that the contract does not know passes unchecked', () => {
  const event = decodeEvent(message({ headers: encodeHeaders({ ...envelope, type: 'user.promoted' }) }));
  assert.equal(event.type, 'user.promoted');
});

test('a type named like a member of every object is no known type', () => {
  const headers = encodeHeaders({ ...envelope, type: 'constructor' });
  assert.equal(decodeEvent(message({ headers })).type, 'constructor');
});
