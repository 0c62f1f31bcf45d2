/** What of a record tells whether its transaction was aborted. */
export interface TransactionalRecord {
  offset: bigint;
  key: string | null;
  isControlRecord: boolean;
  batchContext: { producerId: string; inTransaction: boolean; isControlBatch: boolean };
  /** present where this stands for records that cannot be read */
  unreadable?: object;
}

/** An aborted transaction of a fetched partition, as the broker names it. */
export interface AbortedTransaction {
  producerId: string;
  firstOffset: string;
}

/** The key of the control record that ends an aborted transaction: version 0, type 0. */
const abortMarker = '\0\0\0\0';

/**
 * Leaves out the records of aborted transactions, as Kafka's Java client does (`CompletedFetch`): a producer's records are
 * aborted from the first offset of its transaction to the marker that ends it.
 * Records that cannot be read are kept: nobody knows what they are.
 * @param messages in the order of their offsets; control records among them
 * @param abortedTransactions in any order
 */
export function filterAbortedMessages<T extends TransactionalRecord>({
  messages,
  abortedTransactions,
}: {
  messages: readonly T[];
  abortedTransactions: readonly AbortedTransaction[] | null;
}): readonly T[] {
  if (!abortedTransactions?.length) return messages;
  const waiting = abortedTransactions
    .map(({ producerId, firstOffset }) => ({ producerId, firstOffset: BigInt(firstOffset) }))
    .toSorted((a, b) => (a.firstOffset < b.firstOffset ? 1 : -1));
  const aborted = new Set<string>();
  return messages.filter((message) => {
    const { producerId, inTransaction } = message.batchContext;
    while (waiting.length > 0 && waiting.at(-1)!.firstOffset <= message.offset) aborted.add(waiting.pop()!.producerId);
    if (message.unreadable) {
      if (message.batchContext.isControlBatch) aborted.delete(producerId); // whatever it says, it ends the transaction
      return true;
    }
    if (message.isControlRecord) {
      if (message.key === abortMarker) aborted.delete(producerId);
      return true;
    }
    return !inTransaction || !aborted.has(producerId);
  });
}
