import type { Row } from '#streams/language';
import type { Plan } from './plan.ts';

/** The row of a window, from its accumulators as decimal text. @param end of a session; other windows have a fixed size */
export function rowOf(
  plan: Plan,
  start: number,
  key: string,
  accumulators: readonly string[],
  end = start + plan.query.window!.size,
): Row {
  return {
    key,
    windowStart: start,
    windowEnd: end,
    values: plan.layout.read(accumulators),
    estimates: plan.layout.estimates(accumulators),
  };
}

/** Whether a row passes `having`; without a result it does not. */
export function passes({ query }: Plan, row: Row): boolean {
  if (!query.having) return true;
  try {
    return query.having.evaluate(row) === true;
  } catch {
    return false;
  }
}
