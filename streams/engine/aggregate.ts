import type { ReceivedEvent } from '#platform/contract';
import { ExpressionError } from '#streams/language';
import type { PartitionWatermarks } from './watermarks.ts';
import { Delta } from './accumulators.ts';
import type { AccumulatorSpec } from './accumulators.ts';
import {
  UnusableEvent,
  accepts,
  eventClock,
  valuesOf,
  inputsOf,
  isUsualTime,
  keyOf,
  readsEvent,
  timeOf,
} from './plan.ts';
import type { Plan, PlanSet } from './plan.ts';
import { SessionList } from './sessions.ts';
import { isOver, latestStart } from './windows.ts';

/** The deltas of the windows of one plan, by start and key. */
export class Deltas extends Map<number, Map<string, Delta>> {
  /** the window of the last call: the next call mostly has the same start, and often the same key */
  #start = Number.NaN;
  #keys = new Map<string, Delta>();
  #key: string | undefined;
  #delta: Delta | undefined;

  /** The delta of a window; makes one if there is none. */
  at(start: number, key: string, accumulators: readonly AccumulatorSpec[]): Delta {
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

/** The deltas of the sessions of one plan, by key. */
export type SessionDeltas = Map<string, SessionList>;

/** An event that a query without a window accepts. */
export interface Occurrence {
  plan: Plan;
  key: string;
  event: ReceivedEvent;
  values: Record<string, number | string>;
}

/** The counts of events in one query. */
export interface Tally {
  /** events that counted */
  matched: number;
  /** events that came after the grace of one of their windows */
  late: number;
  /** how far behind the watermark the latest of them was, in milliseconds */
  latestMs: number;
  /** events that the query has no result for: a missing member, a text in place of a number */
  failed: number;
  failure: string | undefined;
}

/** The effects of events, as a batch adds them to the windows. */
export interface Effects {
  readonly windows: ReadonlyMap<Plan, Deltas>;
  readonly sessions: ReadonlyMap<Plan, SessionDeltas>;
  readonly occurrences: readonly Occurrence[];
  readonly tallies: ReadonlyMap<Plan, Tally>;
}

/** A time further ahead of the clock is wrong: it must not close the windows of all others. */
const maxAheadMs = 60_000;

/**
 * Aggregates events into deltas. The same events and watermarks have the same effects, however they are divided into
 * batches. An event is late when the watermark of its own partition has passed the end and the grace of its window: that
 * depends only on the order in the partition, not on which partition is read first. In a query of sessions, an event
 * counts as if it opened a session alone, from its time to the end of the gap. So earlier events do not decide whether it is
 * late.
 */
export class Aggregation implements Effects {
  readonly windows = new Map<Plan, Deltas>();
  readonly sessions = new Map<Plan, SessionDeltas>();
  readonly tallies = new Map<Plan, Tally>();
  #occurrences: Occurrence[] = [];

  get occurrences(): readonly Occurrence[] {
    return this.#occurrences;
  }

  /** Returns the occurrences since the last call. */
  takeOccurrences(): Occurrence[] {
    const taken = this.#occurrences;
    if (taken.length > 0) this.#occurrences = [];
    return taken;
  }

  /**
   * Adds events of one partition.
   * @param before the watermarks of the partition before the events
   * @param now milliseconds since 1970
   * @returns its watermarks after the events
   */
  aggregate(
    plans: PlanSet,
    events: readonly ReceivedEvent[],
    before: PartitionWatermarks,
    now: number,
  ): PartitionWatermarks {
    const watermarks = before.copy();
    const ceiling = now + maxAheadMs;
    for (const event of events) {
      if (isUsualTime(event.time)) watermarks.advance(eventClock, Math.min(event.time, ceiling));
      for (const plan of plans.readersOf(event.topic, event.type).plans) {
        const tally = this.#tallyOf(plan);
        try {
          this.#add(plan, tally, event, watermarks, ceiling);
        } catch (error) {
          if (!(error instanceof ExpressionError || error instanceof UnusableEvent)) throw error;
          tally.failed += 1;
          tally.failure = `${event.id}: ${error.message}`;
        }
      }
    }
    return watermarks;
  }

  #add(plan: Plan, tally: Tally, event: ReceivedEvent, watermarks: PartitionWatermarks, ceiling: number): void {
    const time = timeOf(plan, event);
    if (plan.clock !== eventClock) watermarks.advance(plan.clock, Math.min(time, ceiling));
    if (!accepts(plan, event)) return;
    const key = keyOf(plan, event);
    const { window } = plan.query;
    if (!window) {
      this.#occurrences.push({ plan, key, event, values: valuesOf(plan, event) });
      tally.matched += 1;
      return;
    }
    const inputs = inputsOf(plan, event);
    const watermark = watermarks.of(plan.clock);
    if (window.kind === 'session') {
      const over = isOver(window, time, watermark);
      if (!over) this.#sessionsOf(plan, key).add(time, inputs, event);
      note(tally, !over, over, watermark - time);
      return;
    }
    let [newest, oldest]: [Delta | undefined, number] = [undefined, time];
    let late = false;
    for (let start = latestStart(window, time); start > time - window.size && !late; start -= window.advance) {
      late = isOver(window, start, watermark); // and so are those that start before it
      if (late) continue;
      const delta = this.#deltaOf(plan, start, key);
      delta.add(inputs, event);
      newest ??= delta;
      oldest = start;
    }
    if (window.advance < window.size) newest?.noteOldest(oldest, late);
    note(tally, newest !== undefined, late, watermark - time);
  }

  #sessionsOf(plan: Plan, key: string): SessionList {
    let keys = this.sessions.get(plan);
    if (!keys) this.sessions.set(plan, (keys = new Map<string, SessionList>()));
    let list = keys.get(key);
    if (!list) keys.set(key, (list = new SessionList(plan.query.window!.size, plan.layout.accumulators)));
    return list;
  }

  #deltaOf(plan: Plan, start: number, key: string): Delta {
    let deltas = this.windows.get(plan);
    if (!deltas) this.windows.set(plan, (deltas = new Deltas()));
    return deltas.at(start, key, plan.layout.accumulators);
  }

  #tallyOf(plan: Plan): Tally {
    let tally = this.tallies.get(plan);
    if (!tally) {
      tally = { matched: 0, late: 0, latestMs: 0, failed: 0, failure: undefined };
      this.tallies.set(plan, tally);
    }
    return tally;
  }
}

/**
 * Advances the watermarks of plans by events that they do not count.
 * @param now milliseconds since 1970
 */
export function advanceWatermarks(
  plans: readonly Plan[],
  events: readonly ReceivedEvent[],
  watermarks: PartitionWatermarks,
  now: number,
): void {
  for (const plan of plans) {
    for (const event of events) {
      if (!readsEvent(plan, event)) continue;
      try {
        watermarks.advance(plan.clock, Math.min(timeOf(plan, event), now + maxAheadMs));
      } catch (error) {
        if (!(error instanceof ExpressionError || error instanceof UnusableEvent)) throw error;
      }
    }
  }
}

function note(tally: Tally, taken: boolean, late: boolean, behindMs: number): void {
  if (taken) tally.matched += 1;
  if (late) {
    tally.late += 1;
    tally.latestMs = Math.max(tally.latestMs, behindMs);
  }
}
