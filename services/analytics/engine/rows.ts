import type { Row } from '../query/expression.ts';
import type { Plan } from './plan.ts';

/** A window's figures, from its accumulators as decimal text. */
export function rowOf(plan: Plan, start: number, key: string, accumulators: readonly string[]): Row {
  return {
    key,
    windowStart: start,
    windowEnd: start + plan.query.window!.size,
    values: plan.layout.read(accumulators),
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
