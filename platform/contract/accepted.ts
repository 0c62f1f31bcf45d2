/** A change that would break somebody, and is made nevertheless: one kind of change, in each of its places. */
export interface AcceptedChange {
  /** each place, in the words of `npm run check`: `operation createUser: email` */
  at: readonly [string, ...string[]];
  /** what changes there, in the words of the check */
  change: string;
  /** why it is made nevertheless, in one sentence */
  reason: string;
}

/** What becomes of changes that would break somebody, a sentence each. */
export interface Verdict {
  accepted: string[];
  broken: string[];
  /** what is accepted, but does not change */
  stale: string[];
}

/** Compares changes with those that are accepted. A change is accepted if it is the same in each word. */
export function judgeChanges(changes: readonly string[], accepted: readonly AcceptedChange[]): Verdict {
  const declared = new Set(accepted.flatMap(({ at, change }) => at.map((place) => `${place} ${change}`)));
  const found = new Set(changes);
  return {
    accepted: [...found].filter((change) => declared.has(change)),
    broken: [...found].filter((change) => !declared.has(change)),
    stale: [...declared].filter((change) => !found.has(change)),
  };
}
