/** What a file says of a query. */
export interface Declaration {
  name: string;
  fingerprint: string;
  definition: string;
}

/** A version that has not been retired. */
export interface KnownVersion {
  id: number;
  name: string;
  version: number;
  fingerprint: string;
  definition: string | null;
  isBuilding: boolean;
}

export interface Decision<T extends Declaration> {
  /** need another version */
  register: T[];
  /** keep their version, whose windows are now read differently */
  redefine: { id: number; declaration: T }[];
  retire: number[];
}

/**
 * What is to be done about declarations that have changed. A query whose windows would mean something else needs another
 * version; the one that serves goes on until that has caught up, and one that was still being built is given up. A query
 * that is changed back to what still serves needs none.
 */
export function decide<T extends Declaration>(
  live: readonly KnownVersion[],
  changed: readonly T[],
  removed: readonly string[],
): Decision<T> {
  const decision: Decision<T> = { register: [], redefine: [], retire: [] };
  for (const declaration of changed) {
    const own = live.filter(({ name }) => name === declaration.name);
    const same = own.findLast(({ fingerprint }) => fingerprint === declaration.fingerprint);
    const isOver = ({ id, isBuilding, definition }: KnownVersion) =>
      id !== same?.id && (isBuilding || definition === null); // without its definition nobody can run it
    decision.retire.push(...own.filter(isOver).map(({ id }) => id));
    if (!same) decision.register.push(declaration);
    else if (same.definition !== declaration.definition) decision.redefine.push({ id: same.id, declaration });
  }
  const isRemoved = ({ name }: KnownVersion) => removed.includes(name);
  decision.retire.push(...live.filter(isRemoved).map(({ id }) => id));
  return decision;
}

/** What is different from what was declared before: queries that are new or say something else, and names that are gone. */
export function differences<T extends Pick<Declaration, 'name' | 'definition'>>(
  before: ReadonlyMap<string, string>,
  { declared, faulty, isReadable }: { declared: readonly T[]; faulty: ReadonlySet<string>; isReadable: boolean },
): { changed: T[]; removed: string[] } {
  const changed = declared.filter(({ name, definition }) => before.get(name) !== definition);
  const names = new Set(declared.map(({ name }) => name));
  const removed = isReadable ? [...before.keys()].filter((name) => !names.has(name) && !faulty.has(name)) : [];
  return { changed, removed };
}

/** From where a version takes the events of a partition that the backfill reads. */
export interface Start {
  id: number;
  from: bigint;
}

export interface Rewind {
  /** where the backfill reads on */
  position: bigint;
  starts: Start[];
  /** whether what the backfill remembers of the partition (clocks, ids of events) is of another place */
  isElsewhere: boolean;
}

/**
 * Sends the backfill of a partition back to its first event for new versions. Those that had come further wait where they
 * were, so that each version takes each event once.
 * @param position where the backfill stands
 * @param reading the versions that it reads for
 * @param beginning the new versions
 * @param low the first event that there is
 */
export function rewind(position: bigint, reading: readonly Start[], beginning: readonly number[], low: bigint): Rewind {
  const begun = beginning.map((id) => ({ id, from: low }));
  if (reading.length === 0) return { position: low, starts: begun, isElsewhere: true };
  if (position <= low) return { position, starts: [...reading, ...begun], isElsewhere: false };
  const waiting = reading.map(({ id, from }) => ({ id, from: from > position ? from : position }));
  return { position: low, starts: [...waiting, ...begun], isElsewhere: true };
}
