import type { Row } from '#streams/language';
import type { Plan } from './plan.ts';

/** A window's figures, from its accumulators as decimal text. @param end where only the session knows it */
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

/** Whether `having` lets a row through; one without a result does not pass. */
export function passes({ query }: Plan, row: Row): boolean {
  if (!query.having) return true;
  try {
    return query.having.evaluate(row) === true;
  } catch {
    return false;
  }
}
