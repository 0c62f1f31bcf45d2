import { toPartitionBatches } from './partition-batches.ts';
import type { PartitionBatches } from './partition-batches.ts';
import { behind, unsendable } from './refused.ts';
import type { Refused } from './refused.ts';
import { messagesOf, nameOfKey, toOutgoing } from './rows.ts';
import type { OutboxRow, Outgoing } from './rows.ts';
import type { Tally } from './tally.ts';

/**
 * The messages of rows that hold one each. A row of which none can be made is refused, and the later ones of its key wait behind it:
 * the others go on.
 * @param to.isNumbered whether each message gets the id of its row
 * @param to.refused gets those
 */
export function encodeRows(
  rows: readonly OutboxRow[],
  { isNumbered, refused }: { isNumbered: boolean; refused: Refused[] },
): Outgoing[] {
  const outgoing: Outgoing[] = [];
  const held = new Set<string>();
  for (const row of rows) {
    if (held.size > 0 && held.has(nameOfKey(row))) {
      refused.push(behind(row));
      continue;
    }
    try {
      outgoing.push(toOutgoing(row, isNumbered));
    } catch (error) {
      held.add(nameOfKey(row));
      refused.push(unsendable(row, error));
    }
  }
  return outgoing;
}

/**
 * Distributes the records of record batches to their partitions. What cannot be read of a batch is refused: no consumer could read
 * it, so nothing waits behind it.
 * @param to.refused gets those
 * @returns the rows that are sent, each a batch or a message of one, and their records by partition
 */
export function encodeBatches(
  rows: readonly OutboxRow[],
  to: { partitionsOf: ReadonlyMap<string, number>; maxBytes: number; tally: Tally; refused: Refused[] },
): { batches: readonly OutboxRow[]; outgoing: PartitionBatches[] } {
  const encoded = (batches: readonly OutboxRow[]) => toPartitionBatches(batches, to.partitionsOf, to.maxBytes);
  const readable = (row: OutboxRow): OutboxRow[] => {
    try {
      encoded([row]);
      return [row];
    } catch (error) {
      const messages = messagesOf(row);
      if (messages[0] !== row) {
        to.tally.expect(row, messages.length);
        return messages.flatMap(readable);
      }
      to.refused.push(unsendable(row, error));
      return [];
    }
  };
  try {
    return { batches: rows, outgoing: encoded(rows) };
  } catch {
    const batches = rows.flatMap(readable);
    return { batches, outgoing: encoded(batches) };
  }
}
