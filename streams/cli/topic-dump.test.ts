import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeHeaders, InvalidEvent } from '#platform/contract';
import type { IncomingMessage } from '#platform/kafka';
import { dumpLine, readDump } from './topic-dump.ts';

const time = new Date('2026-01-01T10:00:00.000Z');
const envelope = { id: 'o-1', type: 'order.created', source: '/orders', subject: '1', time };

function message(value: string | null, headers: Record<string, string> = encodeHeaders(envelope)): IncomingMessage {
  const bytes = value === null ? null : Buffer.from(value);
  return { topic: 'order-events', partition: 2, offset: 7n, key: 'k', value: bytes, headers, timestamp: 0 };
}

/** An event as a run on the dump has it. */
function dumped(from: IncomingMessage) {
  const line = dumpLine(from);
  assert.doesNotMatch(line, /[\r\n]/);
  return readDump('dump.jsonl', `${line}\n`, undefined)[0]!;
}

describe('a dump', () => {
  it('has each digit of the numbers', () => {
    const data = dumped(message('{"userId":9007199254740993,"of":[-12345678901234567890],"totalAmount":0.10}')).data;
    assert.deepEqual(data, { userId: 9007199254740993n, of: [-12345678901234567890n], totalAmount: 0.1 });
  });

  it('has a line for each event, however its JSON is laid out', () => {
    const data = { note: 'two\nlines\r\n, "one" event \u2028', items: [{ quantity: 1 }, null] };
    for (const space of [undefined, 2, '\r\n\t']) {
      assert.deepEqual(dumped(message(JSON.stringify(data, undefined, space))), {
        ...envelope,
        time: time.getTime(),
        topic: 'order-events',
        partition: 2,
        offset: 0n,
        key: 'k',
        traceparent: undefined,
        data,
      });
    }
  });

  it('has events in structured mode, too', () => {
    const value = `{"specversion":"1.0","id":"s","type":"t","source":"/s","time":"2026-01-01T10:00:00Z",
      "data":{"userId":9007199254740993,
        "n":1}}`;
    const { id, data } = dumped(message(value, { 'content-type': 'application/cloudevents+json' }));
    assert.deepEqual({ id, data }, { id: 's', data: { userId: 9007199254740993n, n: 1 } });
  });

  it('has no messages that are no events', () => {
    for (const wrong of [message(null), message('{"a":'), message('{}', {})])
      assert.throws(() => dumpLine(wrong), InvalidEvent);
  });
});
