import { messageOf } from '#platform/errors';
import type { Refusal } from '#platform/kafka';
import type { OutboxRow } from './rows.ts';

/** A message that Kafka refuses, or that cannot be sent at all. */
export interface Refused extends Refusal {
  /** a row with one message, or one message of a row */
  row: OutboxRow;
  /** false for one that waits behind another message of its key, for its partition, or for its topic */
  tried: boolean;
}

/** A message that waits behind another one of its key. */
export function behind(row: OutboxRow): Refused {
  return { row, tried: false, of: 'message', reason: 'it waits behind another message of its key' };
}

/** A row of which no message can be made. */
export function unsendable(row: OutboxRow, error: unknown): Refused {
  return { row, tried: true, of: 'message', reason: messageOf(error) };
}
