/** The declaration of a query in its file. */
export interface Declaration {
  name: string;
  fingerprint: string;
  definition: string;
}

/** A version that is not retired. */
export interface KnownVersion {
  id: number;
  name: string;
  version: number;
  fingerprint: string;
  definition: string | null;
  isBuilding: boolean;
}

export interface Decision<T extends Declaration> {
  /** need a new version */
  register: T[];
  /** keep their version, but read its windows differently */
  redefine: { id: number; declaration: T }[];
  retire: number[];
}

/**
 * Decides what to do about changed declarations. A query whose windows get another meaning needs a new version. The version
 * that serves continues until the new one has caught up; a version that is still being built is retired. A query that
 * changes back to the version that serves needs no new one.
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

/** The differences from the earlier declarations: queries that are new or changed, and names that are removed. */
export function differences<T extends Pick<Declaration, 'name' | 'definition'>>(
  before: ReadonlyMap<string, string>,
  { declared, faulty, isReadable }: { declared: readonly T[]; faulty: ReadonlySet<string>; isReadable: boolean },
): { changed: T[]; removed: string[] } {
  const changed = declared.filter(({ name, definition }) => before.get(name) !== definition);
  const names = new Set(declared.map(({ name }) => name));
  const removed = isReadable ? [...before.keys()].filter((name) => !names.has(name) && !faulty.has(name)) : [];
  return { changed, removed };
}

/** The offset from which a version takes the events of a partition that the backfill reads. */
export interface Start {
  id: number;
  from: bigint;
}

export interface Rewind {
  /** the next offset of the backfill */
  position: bigint;
  starts: Start[];
  /** whether the backfill's state of the partition (watermarks, event ids) belongs to another offset */
  isElsewhere: boolean;
}

/**
 * Sends the backfill of a partition back to its first event for new versions. The other versions wait at the offsets that
 * they have reached, so that each version takes each event once. A new version takes whatever the backfill reads: an offset to
 * begin at would be one of the present topic, and one that is created again begins with lower ones.
 * @param position the next offset of the backfill; undefined where it counts in an earlier topic of the same name: then all
 * versions take the present one from its first event
 * @param reading the versions that it reads for
 * @param beginning the new versions
 * @param low the first offset of the partition
 */
export function rewind(
  position: bigint | undefined,
  reading: readonly Start[],
  beginning: readonly number[],
  low: bigint,
): Rewind {
  const begun = beginning.map((id) => ({ id, from: 0n }));
  if (position === undefined)
    return { position: low, starts: [...reading.map(({ id }) => ({ id, from: 0n })), ...begun], isElsewhere: true };
  if (reading.length === 0) return { position: low, starts: begun, isElsewhere: true };
  if (position <= low) return { position, starts: [...reading, ...begun], isElsewhere: false };
  const waiting = reading.map(({ id, from }) => ({ id, from: from > position ? from : position }));
  return { position: low, starts: [...waiting, ...begun], isElsewhere: true };
}
