import type { Health } from '#platform/health';
import { defaultLimit, parseTime } from '#platform/contract';
import type { Pool } from '#platform/postgres';
import type { Window } from '#streams/contract';
import type { PlanSet } from '#streams/engine';
import type { StatusBoard } from '#streams/runtime';
import { listWindows } from '#streams/store';
import type { WindowFilter } from '#streams/store';
import type { LiveFeed } from './live.ts';

/** The parts that the operations of analytics use. */
export interface AnalyticsParts {
  pool: Pool;
  plans: () => PlanSet;
  board: StatusBoard;
  live: LiveFeed;
  health: Health;
  /** milliseconds since 1970 */
  now?: () => number;
}

/** The windows of the query with that name; undefined if there is none. */
export async function windowsOf(
  { pool, plans, board }: AnalyticsParts,
  name: string,
  filter: WindowFilter,
): Promise<Window[] | undefined> {
  const plan = plans().named(name);
  return plan && (await listWindows(pool, plan, filter, board.watermark(plan)));
}

/** The requested range and limit of a list. */
export function filterOf(query: { from?: string; to?: string; limit?: number }) {
  return {
    from: query.from === undefined ? undefined : parseTime(query.from),
    to: query.to === undefined ? undefined : parseTime(query.to),
    limit: query.limit ?? defaultLimit,
  };
}
