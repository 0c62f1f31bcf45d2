import { Delta, mergeStates } from './accumulators.ts';
import type { AccumulatorSpec, WindowState } from './accumulators.ts';

/** From the first event of a session to a gap after its last; milliseconds since 1970. */
export interface Span {
  start: number;
  end: number;
}

/** What a batch adds to one session. */
export interface SessionDelta extends Span {
  delta: Delta;
}

/** A session as it is kept. */
export interface StoredSession extends Span, WindowState {
  /** null: of a query that emits no close */
  closed: boolean | null;
  alerted: boolean;
  /** how often it was emitted with this start */
  emissions: number;
  /** the starts under which parts of it were emitted before */
  replaces: number[];
  /** when its change is to be emitted, in milliseconds since 1970; null: nothing new */
  dueAt: number | null;
}

/** A session after a batch. */
export interface MergedSession extends StoredSession {
  /** the last that the batch added to it */
  delta: Delta;
}

/** What a batch does to the sessions of one key. */
export interface SessionChanges {
  merged: MergedSession[];
  /** the starts of kept sessions that have become part of an earlier one */
  absorbed: number[];
  /** deltas that came too late: they touch a session that has been closed and emitted */
  refused: Delta[];
}

/** Whether two sessions are one: events exactly a gap apart belong together. */
function touch(a: Span, b: Span): boolean {
  return a.start <= b.end && b.start <= a.end;
}

/** The sessions of one key within a batch, in the order of time; no two of them touch. */
export class SessionList {
  readonly sessions: SessionDelta[] = [];
  readonly #gap: number;
  readonly #accumulators: readonly AccumulatorSpec[];

  constructor(gap: number, accumulators: readonly AccumulatorSpec[]) {
    this.#gap = gap;
    this.#accumulators = accumulators;
  }

  /** The delta for an event of that time. It may join two sessions, never three: each is a gap long at least. */
  at(time: number): Delta {
    const { sessions } = this;
    const end = time + this.#gap;
    let after = sessions.length; // of the sessions that begin too late for it; events mostly come in order
    while (after > 0 && sessions[after - 1]!.start > end) after -= 1;
    const [before, session] = [sessions[after - 2], sessions[after - 1]];
    if (session === undefined || session.end < time) {
      const delta = new Delta(this.#accumulators);
      sessions.splice(after, 0, { start: time, end, delta });
      return delta;
    }
    session.start = Math.min(session.start, time);
    session.end = Math.max(session.end, end);
    if (before === undefined || before.end < session.start) return session.delta;
    before.end = session.end;
    before.delta.merge(session.delta);
    sessions.splice(after - 1, 1);
    return before.delta;
  }
}

/**
 * Merges a batch's sessions of a key with those that are kept. The outcome is the same in whatever order and parts the
 * events come: a session is every event that hangs together.
 * @param kept those that touch a session of the batch; others may be among them
 * @param closes whether the query closes its windows
 */
export function mergeSessions(
  accumulators: readonly AccumulatorSpec[],
  kept: readonly StoredSession[],
  deltas: readonly SessionDelta[],
  closes: boolean,
): SessionChanges {
  const changes: SessionChanges = { merged: [], absorbed: [], refused: [] };
  const over = kept.filter(({ closed }) => closed === true);
  const taken = deltas.filter((session) => !over.some((other) => touch(other, session)));
  for (const session of deltas) if (!taken.includes(session)) changes.refused.push(session.delta);
  const open = kept.filter(({ closed }) => closed !== true);
  for (const { start, end, members } of hanging<StoredSession | SessionDelta>([...open, ...taken])) {
    const added = members.filter((member): member is SessionDelta => !('accumulators' in member));
    const old = members.filter((member): member is StoredSession => 'accumulators' in member);
    const last = added.at(-1);
    if (!last) continue; // untouched
    const states = members.map((member) => ('accumulators' in member ? member : member.delta.state()));
    changes.absorbed.push(...old.map((session) => session.start).filter((own) => own !== start));
    changes.merged.push({
      start,
      end,
      ...stateOf(accumulators, states),
      closed: closes ? false : null,
      alerted: old.some(({ alerted }) => alerted),
      emissions: old.find((session) => session.start === start)?.emissions ?? 0,
      replaces: replaced(old, start),
      dueAt: old.reduce<number | null>((due, session) => earliest(due, session.dueAt), null),
      delta: last.delta,
    });
  }
  return changes;
}

/** Those that hang together, directly or by way of others. */
function hanging<T extends Span>(spans: readonly T[]): (Span & { members: T[] })[] {
  const groups: (Span & { members: T[] })[] = [];
  for (const span of spans.toSorted((a, b) => a.start - b.start)) {
    const last = groups.at(-1);
    if (last && touch(last, span)) {
      last.end = Math.max(last.end, span.end);
      last.members.push(span);
    } else groups.push({ start: span.start, end: span.end, members: [span] });
  }
  return groups;
}

/** The deltas stay as they are: where the transaction fails, they are written again. */
function stateOf(accumulators: readonly AccumulatorSpec[], states: readonly WindowState[]): WindowState {
  const { accumulators: values, sets } = states.reduce((a, b) => mergeStates(accumulators, a, b));
  return { accumulators: values, sets };
}

function replaced(old: readonly StoredSession[], start: number): number[] {
  const emitted = old.filter((session) => session.emissions > 0 && session.start !== start);
  const all = [...old.flatMap(({ replaces }) => replaces), ...emitted.map((session) => session.start)];
  return [...new Set(all)].toSorted((a, b) => a - b);
}

function earliest(a: number | null, b: number | null): number | null {
  if (a === null || b === null) return a ?? b;
  return Math.min(a, b);
}
