/** A record of the topic. */
export interface LoggedRecord {
  id: string;
  key: string;
  /** its number: a later record has a higher one */
  record: string;
  value: string;
  /** of a topic that was deleted before the group had read it */
  isGone?: boolean;
}

/** A dead letter of the group. */
export interface Letter {
  id: string;
  record: string;
  /** it is there because of an earlier one of its key */
  isWaiting: boolean;
  reason: string;
}

/** What a schedule has left. */
export interface Facts {
  /** the events that were committed: the n-th of its key */
  written: readonly { id: string; key: string; n: number; isPoison: boolean }[];
  /** the log of the topic, each partition in its order; before it that of the topic of this name that was deleted */
  log: readonly LoggedRecord[];
  /** what the consumer has done, in its order; one effect for each record */
  effects: readonly { id: string; record: string }[];
  letters: readonly Letter[];
  /** what the dead-letter topic has */
  published: readonly { record: string; value: string }[];
}

export type FindingKind =
  'lost' | 'doubled' | 'reordered' | 'dead-letter' | 'window' | 'stuck' | 'false-green' | 'endless';

export interface Finding {
  kind: FindingKind;
  what: string;
}

/** What is wrong with the facts: events on their way into the topic, and records on their way into the table. */
export function check({ written, log, effects, letters, published }: Facts): Finding[] {
  const findings: Finding[] = [];
  const find = (kind: FindingKind, what: string) => findings.push({ kind, what });
  const numbers = new Map(written.map(({ id, n }) => [id, n]));
  const sent = new Set(log.map(({ id }) => id));
  for (const { id } of written) if (!sent.has(id)) find('lost', `event ${id} is in no log`);
  for (const id of sent) if (!numbers.has(id)) find('doubled', `event ${id} is in the log, and was rolled back`);
  for (const [key, records] of Map.groupBy(log, (record) => record.key))
    checkOrder(
      records.map(({ id }) => id),
      numbers,
      (what) => find('reordered', `key ${key} in the log: ${what}`),
    );
  const done = new Map<string, number>();
  for (const { record } of effects) done.set(record, (done.get(record) ?? 0) + 1);
  for (const { record, id, isGone } of log)
    if (!done.has(record) && !isGone) find('lost', `record ${record} (${id}) has no effect`);
  for (const [record, count] of done) if (count > 1) find('doubled', `record ${record} has ${count} effects`);
  const keys = new Map(written.map(({ id, key }) => [id, key]));
  for (const [key, own] of Map.groupBy(effects, ({ id }) => keys.get(id))) {
    const wrong = own.findIndex(({ record }, i) => i > 0 && Number(record) < Number(own[i - 1]!.record));
    if (wrong > 0) {
      const [before, after] = [own[wrong - 1]!, own[wrong]!];
      find('reordered', `key ${key} in the table: ${after.id} comes after ${before.id}, and before it in the log`);
    }
  }
  const poison = written.filter(({ isPoison }) => isPoison);
  const poisonIds = new Set(poison.map(({ id }) => id));
  const poisonKeys = new Set(poison.map(({ key }) => key));
  for (const { id, record, isWaiting, reason } of letters)
    if (isWaiting ? !poisonKeys.has(keys.get(id)!) : !poisonIds.has(id))
      find('dead-letter', `record ${record} (${id}) is a dead letter: ${reason}`);
  const copies = new Map(published.map(({ record, value }) => [record, value]));
  const values = new Map(log.map(({ record, value }) => [record, value]));
  for (const { id, record, isWaiting } of letters)
    if (!isWaiting && copies.get(record) !== values.get(record))
      find('lost', `the dead letter of record ${record} (${id}) is not in its topic as it was`);
  return findings;
}

/** Whether the first copies of the events of a key are in their order. */
function checkOrder(
  ids: readonly string[],
  numbers: ReadonlyMap<string, number>,
  report: (what: string) => void,
): void {
  const first = [...new Set(ids)].filter((id) => numbers.has(id));
  const wrong = first.findIndex((id, i) => i > 0 && numbers.get(id)! < numbers.get(first[i - 1]!)!);
  if (wrong > 0) report(`${first[wrong]} comes after ${first[wrong - 1]}`);
}
