const itemMs = 1;
const longestMs = 50;

/**
 * The least time from one round of a loop to the next, in milliseconds, by how many items the round had: a single item is
 * followed at once, while under load many items share the cost of a transaction or a request. What it adds to the latency
 * of an item is bounded by 50 ms.
 */
export function roundMs(items: number): number {
  return items <= 1 ? 0 : Math.min(longestMs, items * itemMs);
}
