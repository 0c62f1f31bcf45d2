import assert from 'node:assert/strict';
import { it } from 'node:test';
import * as fc from 'fast-check';
import { filterAbortedMessages } from './aborted.ts';
import type { AbortedTransaction, TransactionalRecord } from './aborted.ts';

/** Steps of three producers with transactions and of one without. */
const step = fc.oneof(
  fc.record({ producer: fc.constantFrom('1', '2', '3'), kind: fc.constantFrom('record', 'commit', 'abort') } as const),
  fc.record({ producer: fc.constant('4'), kind: fc.constant('record') } as const),
);
const key = fc.constantFrom('a', null, '\0\0\0\0'); // the last is an integer 0, and not an abort marker
const steps = fc.array(fc.record({ step, key, isCompacted: fc.boolean() }), { maxLength: 40 });

interface Written extends TransactionalRecord {
  isAborted: boolean;
}

/** The log after these steps, and the aborted transactions of it. Transactions that are open at the end are committed. */
function write(log: typeof steps extends fc.Arbitrary<infer T> ? T : never) {
  const open = new Map<string, Written[]>();
  const records: Written[] = [];
  const aborted: (AbortedTransaction & { last: bigint })[] = [];
  for (const [i, entry] of log.entries()) {
    const { producer, kind } = entry.step;
    const offset = BigInt(i);
    const isControlRecord = kind !== 'record';
    const inTransaction = producer !== '4';
    const own = open.get(producer) ?? [];
    if (isControlRecord && own.length === 0) continue;
    const record: Written = {
      offset,
      key: kind === 'abort' ? '\0\0\0\0' : kind === 'commit' ? '\0\0\0\u0001' : entry.key,
      isControlRecord,
      batchContext: { producerId: producer, inTransaction, isControlBatch: isControlRecord },
      isAborted: false,
    };
    records.push(record);
    if (kind === 'record' && inTransaction) open.set(producer, [...own, record]);
    if (isControlRecord) open.delete(producer);
    if (kind !== 'abort') continue;
    for (const one of own) one.isAborted = true;
    aborted.push({ producerId: producer, firstOffset: String(own[0]!.offset), last: offset });
  }
  const kept = records.filter((record, i) => record.isControlRecord || !log[i]?.isCompacted);
  return { records: kept, aborted };
}

it('keeps what cannot be read, and lets an end that cannot be read be one', () => {
  const record = (offset: bigint, changes: Partial<TransactionalRecord> = {}) => ({
    offset,
    key: 'a',
    isControlRecord: false,
    batchContext: { producerId: '1', inTransaction: true, isControlBatch: false },
    ...changes,
  });
  const end = { producerId: '1', inTransaction: true, isControlBatch: true };
  const messages = [
    record(0n),
    record(1n, { key: null, unreadable: {} }),
    record(2n),
    record(3n, { key: null, unreadable: {}, batchContext: end }),
    record(4n),
  ];
  const kept = filterAbortedMessages({ messages, abortedTransactions: [{ producerId: '1', firstOffset: '0' }] });
  assert.deepEqual(
    kept.map(({ offset }) => offset),
    [1n, 3n, 4n],
  );
});

it('leaves out the records of aborted transactions, and no others, from wherever it begins', () => {
  fc.assert(
    fc.property(steps, fc.nat({ max: 40 }), fc.boolean(), (log, from, isReversed) => {
      const { records, aborted } = write(log);
      const messages = records.filter(({ offset }) => offset >= BigInt(from));
      const named = aborted.filter(({ last }) => last >= BigInt(from));
      const abortedTransactions = isReversed ? named.toReversed() : named;
      const found = filterAbortedMessages({ messages, abortedTransactions });
      assert.deepEqual(
        found,
        messages.filter(({ isAborted }) => !isAborted),
      );
    }),
    { numRuns: 1_000 },
  );
});
