import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { eventParser } from './assets/events.js';

interface Event {
  type: string;
  data: string;
  id: string;
}

function parsed(...parts: string[]): Event[] {
  const events: Event[] = [];
  const take = eventParser((event: Event) => events.push(event));
  for (const part of parts) take(part);
  return events;
}

describe('event stream', () => {
  it('has typed events; an id holds until the next one', () => {
    assert.deepEqual(parsed('id: 7\nevent: order\ndata: {"a":1}\n\ndata: x\n\n'), [
      { type: 'order', data: '{"a":1}', id: '7' },
      { type: 'message', data: 'x', id: '7' },
    ]);
  });

  it('joins lines of data, removes one blank, ignores comments, unknown fields and events without data', () => {
    assert.deepEqual(parsed(': heartbeat\n\nevent: order\n\nretry: 1\ndata:  a\ndata\ndata:b\n\n'), [
      { type: 'message', data: ' a\n\nb', id: '' },
    ]);
  });

  it('is the same for any chunks', () => {
    const line = fc.constantFrom('data: a', 'data: é: b', 'id: 1', 'event: order', ': c', 'data', '', '');
    const end = fc.constantFrom('\n', '\r\n', '\r');
    fc.assert(
      fc.property(fc.array(line), end, fc.array(fc.nat(6), { maxLength: 40 }), (lines, newline, cuts) => {
        // the rest shows that a stream that was split within a line end is complete
        const text = [...lines, 'data: last', '', ''].join(newline) + '\n';
        const parts: string[] = [];
        let rest = text;
        for (const cut of cuts) {
          parts.push(rest.slice(0, cut));
          rest = rest.slice(cut);
        }
        assert.deepEqual(parsed(...parts, rest), parsed(text));
        assert.equal(parsed(text).at(-1)?.data.endsWith('last'), true);
      }),
    );
  });
});
