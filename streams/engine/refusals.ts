import type { Delta } from './accumulators.ts';
import { Deltas } from './aggregate.ts';
import type { Effects, Tally } from './aggregate.ts';
import type { Plan } from './plan.ts';
import { divide } from './sessions.ts';
import type { SessionList, Span } from './sessions.ts';

/** The events of a batch in a window, or in a session, of a key. */
export interface WindowDelta {
  plan: Plan;
  key: string;
  start: number;
  delta: Delta;
}

/** The deltas of sessions, by plan and key. */
export type Sessions = ReadonlyMap<Plan, ReadonlyMap<string, Pick<SessionList, 'sessions'>>>;

/** The effects on windows that can still change. */
interface Standing extends Pick<Effects, 'windows'> {
  sessions: Sessions;
  refused: WindowDelta[];
}

/**
 * Leaves out what comes for forgotten windows: it would make each of them anew, without its earlier events. A session is
 * forgotten with what came up to its end, so an event of before that could have been part of it. Each event is late by itself, as
 * beside a closed session: others that it would have connected to that session are not.
 * @param until up to when the windows of a plan are forgotten, in milliseconds since 1970, by the plan's id
 */
export function withoutForgotten(
  { windows, sessions }: Pick<Effects, 'windows' | 'sessions'>,
  until: ReadonlyMap<number, number>,
): Standing {
  if (until.size === 0) return { windows, sessions, refused: [] };
  const refused: WindowDelta[] = [];
  const forgottenBy = (plan: Plan) => until.get(plan.id) ?? Number.NEGATIVE_INFINITY;
  const standing = new Map<Plan, Deltas>();
  for (const [plan, deltas] of windows) {
    const isForgotten = (start: number) => start + plan.query.window!.size <= forgottenBy(plan);
    for (const [start, keys] of deltas)
      if (isForgotten(start)) for (const [key, delta] of keys) refused.push({ plan, key, start, delta });
    const others = [...deltas].filter(([start]) => !isForgotten(start));
    if (others.length > 0) standing.set(plan, new Deltas(others));
  }
  const standingSessions = new Map<Plan, Map<string, Pick<SessionList, 'sessions'>>>();
  for (const [plan, keys] of sessions) {
    const own = new Map<string, Pick<SessionList, 'sessions'>>();
    for (const [key, { sessions: all }] of keys) {
      const isForgotten = ({ start }: Span) => start <= forgottenBy(plan);
      const others = all.flatMap((session) => {
        if (!isForgotten(session)) return [session];
        const { inTime, late } = divide(plan.layout.accumulators, session, isForgotten);
        for (const { start, delta } of late) refused.push({ plan, key, start, delta });
        return inTime;
      });
      if (others.length > 0) own.set(key, { sessions: others });
    }
    if (own.size > 0) standingSessions.set(plan, own);
  }
  return { windows: standing, sessions: standingSessions, refused };
}

/** The tallies when what is refused counts as late. An event that another window takes has counted. */
export function withoutRefused(
  { tallies, windows }: Pick<Effects, 'tallies' | 'windows'>,
  refused: readonly WindowDelta[],
): Map<Plan, Tally> {
  const adjusted = new Map(tallies);
  for (const [plan, own] of Map.groupBy(refused, (one) => one.plan)) {
    const { size, advance } = plan.query.window!;
    const { matched, late } = advance < size ? countShared(advance, windows.get(plan)!, own) : countAll(own);
    const tally = adjusted.get(plan)!;
    adjusted.set(plan, { ...tally, matched: tally.matched - matched, late: tally.late + late });
  }
  return adjusted;
}

/** How many events count no more, and how many are late now. */
type Change = Pick<Tally, 'matched' | 'late'>;

/** Of windows that do not overlap: each event is in one of them. */
function countAll(refused: readonly WindowDelta[]): Change {
  const events = refused.reduce((sum, { delta }) => sum + delta.events, 0);
  return { matched: events, late: events };
}

/** Of windows that overlap: an event is in several of them, some of which can be refused. */
function countShared(advance: number, windows: Deltas, refused: readonly WindowDelta[]): Change {
  const change = { matched: 0, late: 0 };
  const gone = new Map<string, Set<number>>();
  for (const { key, start } of refused) gone.set(key, (gone.get(key) ?? new Set<number>()).add(start));
  for (const [newest, keys] of windows) {
    for (const [key, starts] of gone) {
      for (const [oldest, { events, late }] of keys.get(key)?.oldest ?? []) {
        let [all, over] = [0, 0];
        for (let start = oldest; start <= newest; start += advance) {
          all += 1;
          if (starts.has(start)) over += 1;
        }
        if (over > 0) change.late += events - late;
        if (over === all) change.matched += events;
      }
    }
  }
  return change;
}
