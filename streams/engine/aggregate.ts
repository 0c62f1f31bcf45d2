import type { ReceivedEvent } from '#platform/contract';
import { ExpressionError } from '#streams/language';
import type { PartitionClocks } from './clocks.ts';
import { Delta } from './figures.ts';
import type { Accumulator, Inputs } from './figures.ts';
import {
  UnusableEvent,
  accepts,
  eventClock,
  figuresOf,
  inputsOf,
  isUsualTime,
  keyOf,
  readsEvent,
  timeOf,
} from './plan.ts';
import type { Plan, PlanSet } from './plan.ts';
import { SessionList } from './sessions.ts';
import { isOver, latestStart } from './windows.ts';

/** What a batch adds to the windows of one plan, by start and key. */
export class Deltas extends Map<number, Map<string, Delta>> {
  /** what the last call was about: the next one mostly is about the same start, and often the same key */
  #start = Number.NaN;
  #keys = new Map<string, Delta>();
  #key: string | undefined;
  #delta: Delta | undefined;

  /** That of a window, which is there afterwards. */
  at(start: number, key: string, accumulators: readonly Accumulator[]): Delta {
    if (start !== this.#start) {
      let keys = this.get(start);
      if (!keys) this.set(start, (keys = new Map<string, Delta>()));
      this.#start = start;
      this.#keys = keys;
    } else if (key === this.#key) return this.#delta!;
    let delta = this.#keys.get(key);
    if (!delta) this.#keys.set(key, (delta = new Delta(accumulators)));
    this.#key = key;
    this.#delta = delta;
    return delta;
  }
}

/** What a batch adds to the sessions of one plan, by key. */
export type SessionDeltas = Map<string, SessionList>;

/** An event that passed a query without a window. */
export interface Occurrence {
  plan: Plan;
  key: string;
  event: ReceivedEvent;
  values: Record<string, number | string>;
}

/** What became of a batch's events in one query. */
export interface Tally {
  /** events that counted */
  matched: number;
  /** events that came after the grace of a window of theirs */
  late: number;
  /** how far behind the watermark the latest of them was, in milliseconds */
  latestMs: number;
  /** events without a result: a missing member, a text for a number */
  failed: number;
  failure: string | undefined;
}

/** Everything that a batch of events means. */
export interface Effects {
  windows: Map<Plan, Deltas>;
  sessions: Map<Plan, SessionDeltas>;
  occurrences: Occurrence[];
  tallies: Map<Plan, Tally>;
  /** the partitions of the batch after it */
  clocks: PartitionClocks[];
}

/** A clock that is wrong by more must not close everybody's windows. */
const maxAheadMs = 60_000;

/**
 * Folds a batch into deltas. Pure: the same events and clocks have the same effects, however they are cut into batches.
 * An event is late where its own partition's watermark has passed its window's end and grace: that depends on the order in
 * the partition only, not on which partition was read first. In a query of sessions the window is the one that the event
 * would open by itself, from its time to the end of the gap: whether it counts does not depend on who came before it.
 * @param clocksOf the clocks of a partition before the batch
 * @param now milliseconds since 1970
 * @param effects those of earlier events, to which these are added
 */
export function aggregate(
  plans: PlanSet,
  events: readonly ReceivedEvent[],
  clocksOf: (topic: string, partition: number) => PartitionClocks,
  now: number,
  effects: Effects = noEffects(),
): Effects {
  const partitions = new Map<string, PartitionClocks>();
  const ceiling = now + maxAheadMs;
  let clocks: PartitionClocks | undefined;
  for (const event of events) {
    if (clocks?.topic !== event.topic || clocks.partition !== event.partition) {
      const name = `${event.partition}:${event.topic}`;
      clocks = partitions.get(name);
      if (!clocks) {
        clocks = clocksOf(event.topic, event.partition).copy();
        partitions.set(name, clocks);
        effects.clocks.push(clocks);
      }
    }
    if (isUsualTime(event.time)) clocks.advance(eventClock, Math.min(event.time, ceiling));
    for (const plan of plans.reading(event.topic, event.type).plans) {
      const tally = tallyOf(effects.tallies, plan);
      try {
        take(effects, plan, tally, event, clocks, ceiling);
      } catch (error) {
        if (!(error instanceof ExpressionError || error instanceof UnusableEvent)) throw error;
        tally.failed += 1;
        tally.failure = `${event.id}: ${error.message}`;
      }
    }
  }
  return effects;
}

/**
 * Moves the clocks of plans on by events that they do not count.
 * @param now milliseconds since 1970
 */
export function advanceClocks(
  plans: readonly Plan[],
  events: readonly ReceivedEvent[],
  clocks: PartitionClocks,
  now: number,
): void {
  for (const plan of plans) {
    for (const event of events) {
      if (!readsEvent(plan, event)) continue;
      try {
        clocks.advance(plan.clock, Math.min(timeOf(plan, event), now + maxAheadMs));
      } catch (error) {
        if (!(error instanceof ExpressionError || error instanceof UnusableEvent)) throw error;
      }
    }
  }
}

export function noEffects(): Effects {
  return { windows: new Map(), sessions: new Map(), occurrences: [], tallies: new Map(), clocks: [] };
}

function take(
  effects: Effects,
  plan: Plan,
  tally: Tally,
  event: ReceivedEvent,
  clocks: PartitionClocks,
  ceiling: number,
): void {
  const time = timeOf(plan, event);
  if (plan.clock !== eventClock) clocks.advance(plan.clock, Math.min(time, ceiling));
  if (!accepts(plan, event)) return;
  const key = keyOf(plan, event);
  const { window } = plan.query;
  if (!window) {
    effects.occurrences.push({ plan, key, event, values: figuresOf(plan, event) });
    tally.matched += 1;
    return;
  }
  const inputs = inputsOf(plan, event);
  const watermark = clocks.watermark(plan.clock);
  if (window.kind === 'session') {
    const over = isOver(window, time, watermark);
    if (!over) count(sessionsOf(effects.sessions, plan, key).at(time), inputs, event);
    note(tally, !over, over, watermark - time);
    return;
  }
  let taken = false;
  let late = false;
  for (let start = latestStart(window, time); start > time - window.size; start -= window.advance) {
    if (isOver(window, start, watermark)) {
      late = true;
      continue;
    }
    count(deltaOf(effects.windows, plan, start, key), inputs, event);
    taken = true;
  }
  note(tally, taken, late, watermark - time);
}

function count(delta: Delta, inputs: Inputs, event: ReceivedEvent): void {
  delta.add(inputs);
  delta.traceparent = event.traceparent;
}

function note(tally: Tally, taken: boolean, late: boolean, behindMs: number): void {
  if (taken) tally.matched += 1;
  if (late) {
    tally.late += 1;
    tally.latestMs = Math.max(tally.latestMs, behindMs);
  }
}

function sessionsOf(sessions: Effects['sessions'], plan: Plan, key: string): SessionList {
  let keys = sessions.get(plan);
  if (!keys) sessions.set(plan, (keys = new Map<string, SessionList>()));
  let list = keys.get(key);
  if (!list) keys.set(key, (list = new SessionList(plan.query.window!.size, plan.layout.accumulators)));
  return list;
}

function deltaOf(windows: Effects['windows'], plan: Plan, start: number, key: string): Delta {
  let deltas = windows.get(plan);
  if (!deltas) windows.set(plan, (deltas = new Deltas()));
  return deltas.at(start, key, plan.layout.accumulators);
}

function tallyOf(tallies: Effects['tallies'], plan: Plan): Tally {
  let tally = tallies.get(plan);
  if (!tally) {
    tally = { matched: 0, late: 0, latestMs: 0, failed: 0, failure: undefined };
    tallies.set(plan, tally);
  }
  return tally;
}
