/** The file of a query, as analytics reads it. */
export interface QueryFile {
  text: string;
  /** the topic that it emits to, if it does */
  to: string | undefined;
}

/** What there is of a query. */
export interface Candidate {
  /** undefined where the resource is not valid */
  valid: QueryFile | undefined;
  /** the file that analytics has; undefined where it has none */
  before: QueryFile | undefined;
}

/**
 * The file of a query that analytics gets. A query that has become invalid keeps its last valid file, so that a mistake in a change
 * does not stop an alert. No file emits to a topic that is somebody else's.
 * @param mayEmit whether queries may write a topic; while nobody knows, what emits to it already goes on, and nothing else begins to
 * @returns undefined where it gets none
 */
export function passedOn(
  { valid, before }: Candidate,
  mayEmit: (topic: string) => boolean | undefined,
): QueryFile | undefined {
  const may = ({ to }: QueryFile) => (to === undefined ? true : mayEmit(to));
  if (valid && (may(valid) ?? before?.to === valid.to)) return valid;
  return before && may(before) !== false ? before : undefined;
}
