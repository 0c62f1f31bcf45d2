import { Delta, mergeStates } from './accumulators.ts';
import type { AccumulatorSpec, Cause, Inputs, WindowState } from './accumulators.ts';

/** From the first event of a session to the end of the gap after its last; milliseconds since 1970. */
export interface Span {
  start: number;
  end: number;
}

/** An event as a session by itself: from its time to the end of the gap. */
interface SessionEvent extends Span {
  inputs: Inputs;
  cause: Cause;
}

/** The events of a batch in one session. */
export interface SessionDelta extends Span {
  delta: Delta;
  /** in any order */
  events: SessionEvent[];
}

/** A session in the database. */
export interface StoredSession extends Span, WindowState {
  /** null: the query does not emit on close */
  closed: boolean | null;
  alerted: boolean;
  /** how often it has been emitted with this start */
  emissions: number;
  /** the starts with which parts of it have been emitted */
  replaces: number[];
  /** when to emit its change, in milliseconds since 1970; null: nothing has changed */
  dueAt: number | null;
}

/** A session after a batch. */
export interface MergedSession extends StoredSession {
  /** the last delta of the batch in it */
  delta: Delta;
}

/** The changes of a batch to the sessions of one key. */
export interface SessionChanges {
  merged: MergedSession[];
  /** the starts of stored sessions that are merged into an earlier one */
  absorbed: number[];
  /** the sessions of the events that came too late: they touch a closed session */
  refused: SessionDelta[];
}

/** Whether two sessions belong together: events exactly a gap apart do. */
function touch(a: Span, b: Span): boolean {
  return a.start <= b.end && b.start <= a.end;
}

/** The sessions of one key in a batch, in the order of time; no two of them touch. */
export class SessionList {
  readonly sessions: SessionDelta[] = [];
  readonly #gap: number;
  readonly #accumulators: readonly AccumulatorSpec[];

  constructor(gap: number, accumulators: readonly AccumulatorSpec[]) {
    this.#gap = gap;
    this.#accumulators = accumulators;
  }

  /** Adds an event of this time, by the clock of the query. It can join two sessions, never three: each is at least a gap long. */
  add(time: number, inputs: Inputs, cause: Cause): void {
    const event = { start: time, end: time + this.#gap, inputs, cause };
    const session = this.#at(event);
    session.events.push(event);
    session.delta.add(inputs, cause);
  }

  /** The session that an event belongs to. */
  #at({ start, end }: Span): SessionDelta {
    const { sessions } = this;
    let after = sessions.length; // the first session that begins too late for it; events mostly come in order
    while (after > 0 && sessions[after - 1]!.start > end) after -= 1;
    const [before, session] = [sessions[after - 2], sessions[after - 1]];
    if (session === undefined || session.end < start) {
      const opened = { start, end, delta: new Delta(this.#accumulators), events: [] };
      sessions.splice(after, 0, opened);
      return opened;
    }
    session.start = Math.min(session.start, start);
    session.end = Math.max(session.end, end);
    if (before === undefined || before.end < session.start) return session;
    before.end = session.end;
    before.delta.merge(session.delta);
    before.events = joined(before.events, session.events);
    sessions.splice(after - 1, 1);
    return before;
  }
}

/** All elements of two arrays, which it may change; the shorter one is copied, so that growing by merges takes little time. */
function joined<T>(a: T[], b: T[]): T[] {
  const [longer, shorter] = a.length < b.length ? [b, a] : [a, b];
  for (const one of shorter) longer.push(one);
  return longer;
}

/**
 * Merges the sessions of a batch with the stored ones of a key. The result does not depend on the order of the events, nor
 * on how they are divided into batches: an event that touches a closed session is refused by itself, and those that it would have
 * joined go on without it.
 * @param kept the stored sessions that touch a session of the batch, and possibly others
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
  const taken: SessionDelta[] = [];
  for (const session of deltas) {
    const closed = over.filter((other) => touch(other, session));
    if (closed.length === 0) taken.push(session);
    else {
      const { inTime, late } = divide(accumulators, session, (event) => closed.some((other) => touch(other, event)));
      taken.push(...inTime);
      changes.refused.push(...late);
    }
  }
  const open = kept.filter(({ closed }) => closed !== true);
  for (const { start, end, members } of hanging<StoredSession | SessionDelta>([...open, ...taken])) {
    const added = members.filter((member): member is SessionDelta => !('accumulators' in member));
    const old = members.filter((member): member is StoredSession => 'accumulators' in member);
    const last = added.at(-1);
    if (!last) continue; // the batch does not touch it
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

/** Divides a session into the sessions of the events that are late by themselves, and those of the others. */
export function divide(
  accumulators: readonly AccumulatorSpec[],
  { events }: SessionDelta,
  isLate: (event: Span) => boolean,
): { inTime: readonly SessionDelta[]; late: readonly SessionDelta[] } {
  const gap = events[0]!.end - events[0]!.start;
  const inTime = new SessionList(gap, accumulators);
  const late = new SessionList(gap, accumulators);
  for (const event of events) (isLate(event) ? late : inTime).add(event.start, event.inputs, event.cause);
  return { inTime: inTime.sessions, late: late.sessions };
}

/** Groups spans that touch each other, directly or through others. */
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

/** Merges states without changing a delta: after a failed transaction, the deltas are written again. */
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
