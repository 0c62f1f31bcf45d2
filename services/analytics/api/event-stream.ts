import type { FeedPosition, FeedRow } from '#streams/store';

/** The id of a server-sent event: all rows up to (xid, after) were sent, and `sent` items of the next row. */
export interface EventId {
  xid: string;
  after: string;
  sent: number;
}

const eventId = /^(\d{1,18})-(\d{1,18})-(\d{1,6})$/;

/** Reads the id of an event; undefined if it is not ours. */
export function parseEventId(text: string | undefined): EventId | undefined {
  const match = eventId.exec(text ?? '');
  if (!match || match[2] === '0') return undefined;
  return { xid: match[1]!, after: String(BigInt(match[2]!) - 1n), sent: Number(match[3]) };
}

/** Whether there can be rows between the sent position and the head. */
export function isBehind(sent: EventId, head: FeedPosition): boolean {
  const [a, b] = [BigInt(sent.xid), BigInt(head.xid)];
  return a === b ? BigInt(sent.after) < BigInt(head.id) : a < b;
}

/** A row as server-sent events, without its first `skip` items. */
export function encodeRow({ xid, id, kind, items }: FeedRow, skip = 0): string {
  const lines = items.split('\n');
  let text = '';
  for (let i = skip; i < lines.length; i++) text += `id: ${xid}-${id}-${i + 1}\nevent: ${kind}\ndata: ${lines[i]}\n\n`;
  return text;
}
