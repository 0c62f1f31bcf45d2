import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { contracts, decodeEvent } from '#contracts/index.ts';
import { encodeHeaders } from '#platform/contract';
import { lazyDecoder } from '#streams/runtime';

const order = {
  orderId: 1,
  userId: 2,
  status: 'PENDING',
  totalAmount: 12.5,
  items: [{ productId: 1, productName: 'Watch', quantity: 1, unitPrice: 12.5, totalPrice: 12.5 }],
  shippingAddress: null,
  notes: 'a "note"',
  createdAt: '2026-01-01T00:00:00.000Z',
};

const message = (text: string) => ({
  topic: 'order-events',
  partition: 0,
  offset: 0n,
  key: '1',
  value: Buffer.from(text),
  headers: encodeHeaders({ id: '1', type: 'order.created', source: '/orders', subject: '1', time: new Date(0) }),
  timestamp: 0,
});

function reasonOf(decode: (one: ReturnType<typeof message>) => unknown, text: string): string | undefined {
  try {
    decode(message(text));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

describe('analytics', () => {
  it('refuses the orders that the other consumers refuse, with the same reason', () => {
    const decode = lazyDecoder(contracts.events);
    const broken = [{ totalAmount: 1e30 }, { totalAmount: -5 }, { items: undefined }, { userId: [[1]] }, { notes: 7 }];
    const texts = [{}, ...broken, { later: 1 }, {}].map((change) => JSON.stringify({ ...order, ...change }));
    const expected = texts.map((text) => reasonOf(decodeEvent, text));
    for (let round = 0; round < 3; round++)
      assert.deepEqual(
        texts.map((text) => reasonOf(decode, text)),
        expected,
      );
    assert.equal(expected.filter((reason) => reason === undefined).length, 3);
    const change = fc.record({ at: fc.nat(400), cut: fc.nat(3), piece: fc.string({ maxLength: 3 }) });
    fc.assert(
      fc.property(change, ({ at, cut, piece }) => {
        const text = texts[0]!.slice(0, at) + piece + texts[0]!.slice(at + cut);
        assert.equal(reasonOf(decode, text), reasonOf(decodeEvent, text));
      }),
      { numRuns: 1_000 },
    );
  });

  it('sees the usual events of each contract without decoding them', () => {
    const decode = lazyDecoder(contracts.events);
    decode(message(JSON.stringify(order)));
    const event = decode(message(JSON.stringify({ ...order, orderId: 2, notes: null })));
    assert.notDeepEqual(Object.keys(event.data as object), Object.keys(order));
  });
});
