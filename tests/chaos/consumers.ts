import { foreignEvent, foreignKey } from './hops.ts';
import type { Finding, Hops, Place, TopicRecord } from './hops.ts';

/** Whether a fault wrote the record. */
export const isForeign = (key: string | null): boolean => key?.startsWith(foreignKey) ?? false;

/** What the stream queries must have counted and summed, from the events of their topics. */
export function figuresOf(records: readonly TopicRecord[]): Map<string, number> {
  const figures = new Map<string, number>();
  const add = (name: string, amount: number): void => void figures.set(name, (figures.get(name) ?? 0) + amount);
  for (const { type = '', data = {} } of records) {
    add(`events of user ${String(data['userId'])}`, 1);
    if (type.startsWith('order.')) add(`events of type ${type}`, 1);
    if (type !== 'order.created') continue;
    add('orders', 1);
    add('revenue in cents', Math.round(Number(data['totalAmount']) * 100));
  }
  return figures;
}

export function checkFigures(actual: ReadonlyMap<string, number>, expected: ReadonlyMap<string, number>): Finding[] {
  const names = new Set([...actual.keys(), ...expected.keys()]);
  return [...names].flatMap((name): Finding[] => {
    const [is, should] = [actual.get(name) ?? 0, expected.get(name) ?? 0];
    if (is === should) return [];
    return [{ kind: is < should ? 'lost' : 'doubled', hop: 'analytics', what: `${name}: ${is}, not ${should}` }];
  });
}

const notifying = new Set(['user.created', 'order.created', 'order.status-changed']);

/** One notification for each event that calls for one, and a mail for each that was sent. */
export function checkNotifications(hops: Hops, records: readonly TopicRecord[]): Finding[] {
  const { notifications, mails, deadLetters } = hops;
  const letters = new Set(deadLetters.filter(({ group }) => group === 'notifications').map(placeOf));
  const expected = new Set(records.filter(({ type }) => notifying.has(type!)).map(({ id }) => id!));
  const counts = new Map<string, number>();
  for (const { eventId } of notifications) counts.set(eventId, (counts.get(eventId) ?? 0) + 1);
  const taken = new Set(mails);
  const findings: Finding[] = [];
  for (const record of records.filter(({ id }) => expected.has(id!) && !counts.has(id!)))
    // a dead letter is a finding of its own
    if (!letters.has(placeOf(record)))
      findings.push({ kind: 'lost', hop: 'notifications', what: `${record.id} has no notification` });
  for (const [id, count] of counts)
    if (count > 1 || !expected.has(id))
      findings.push({ kind: 'doubled', hop: 'notifications', what: `${id} has ${count} notifications` });
  for (const { eventId, status, error } of notifications) {
    // the recipient of a foreign event may be nobody
    if (eventId.startsWith(foreignEvent)) continue;
    const isMissing = status === 'SENT' && !taken.has(eventId);
    const isGivenUp = status === 'FAILED';
    if (isMissing || isGivenUp || status === 'PENDING')
      findings.push({
        kind: 'lost',
        hop: 'mails',
        what: `${eventId} is ${status}, and not sent: ${error ?? 'no error'}`,
      });
  }
  return findings;
}

/** How many mails came more than once: allowed where a sender died, with the same Message-ID. */
export function repeatedMails({ mails }: Hops): number {
  return mails.length - new Set(mails).size;
}

function placeOf({ topic, partition, offset }: Place): string {
  return `${topic}/${partition}@${offset}`;
}

/** No event is a dead letter, and what is no event is one in each group. A tombstone may be skipped. */
export function checkDeadLetters({ records, deadLetters, recreated }: Hops): Finding[] {
  const byPlace = new Map(records.map((record) => [placeOf(record), record]));
  const findings: Finding[] = [];
  for (const letter of deadLetters) {
    // a record of before is in no topic any more, and the letter alone says what it was
    const record = recreated.has(letter.topic) ? letter : byPlace.get(placeOf(letter));
    const isInvalid = isForeign(record?.key ?? null) && !(record?.id?.startsWith(foreignEvent) ?? false);
    if (!isInvalid)
      findings.push({
        kind: 'lost',
        hop: letter.group,
        what: `${record?.id ?? placeOf(letter)} is a dead letter: ${letter.reason.slice(0, 200)}`,
      });
  }
  for (const record of records) {
    const { key, id, data } = record;
    if (!isForeign(key) || (id?.startsWith(foreignEvent) ?? false) || data === undefined) continue;
    for (const group of consumerGroups)
      if (!deadLetters.some((letter) => letter.group === group && placeOf(letter) === placeOf(record)))
        findings.push({ kind: 'lost', hop: group, what: `${key} at ${placeOf(record)} is no dead letter` });
  }
  return findings;
}

/** The groups that read the topics of aggregates. */
export const consumerGroups = ['orders-projection', 'notifications', 'analytics'];
