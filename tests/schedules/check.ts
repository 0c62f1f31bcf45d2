/** What a schedule has left. */
export interface Facts {
  /** the events that were committed: the n-th of its key */
  written: readonly { id: string; key: string; n: number }[];
  /** the log of the topic, each partition in its order */
  log: readonly { id: string; key: string; place: string }[];
  /** what the consumer has done, in its order; one effect for each record */
  effects: readonly { id: string; place: string }[];
  deadLetters: readonly string[];
}

export type FindingKind = 'lost' | 'doubled' | 'reordered' | 'dead-letter' | 'window' | 'stuck' | 'false-green';

export interface Finding {
  kind: FindingKind;
  what: string;
}

/** What is wrong with the facts: events on their way into the topic, and records on their way into the table. */
export function check({ written, log, effects, deadLetters }: Facts): Finding[] {
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
  for (const { place } of effects) done.set(place, (done.get(place) ?? 0) + 1);
  for (const { place, id } of log) if (!done.has(place)) find('lost', `record ${place} (${id}) has no effect`);
  for (const [place, count] of done) if (count > 1) find('doubled', `record ${place} has ${count} effects`);
  const keys = new Map(written.map(({ id, key }) => [id, key]));
  for (const [key, own] of Map.groupBy(effects, ({ id }) => keys.get(id)))
    checkOrder(
      own.map(({ id }) => id),
      numbers,
      (what) => find('reordered', `key ${key} in the table: ${what}`),
    );
  for (const letter of deadLetters) find('dead-letter', letter);
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
