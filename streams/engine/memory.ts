import type { ReceivedEvent } from '#platform/contract';
import type { Row } from '#streams/language';
import { Aggregation } from './aggregate.ts';
import type { Effects, Occurrence, Tally } from './aggregate.ts';
import { PartitionWatermarks } from './watermarks.ts';
import { mergeStates } from './accumulators.ts';
import type { Plan, PlanSet } from './plan.ts';
import { TopicIds, hashOfEvent } from './recent-ids.ts';
import { passes, rowOf } from './rows.ts';
import { mergeSessions } from './sessions.ts';
import type { StoredSession } from './sessions.ts';

/** A window that passes `having` for the first time. */
export interface Crossing {
  plan: Plan;
  row: Row;
}

/** The effects of a batch. */
export interface BatchResult {
  /** of queries with an alert on change */
  crossings: Crossing[];
  /** of queries without a window; only those that pass `having` */
  occurrences: Occurrence[];
}

type StoredWindow = Omit<StoredSession, 'dueAt' | 'replaces' | 'emissions'>;

/** Runs queries with all state in memory, for a recorded stream and for tests. It deletes nothing. */
export class MemoryEngine {
  readonly plans: PlanSet;
  readonly tallies = new Map<Plan, Tally>();
  readonly watermarks = new Map<string, PartitionWatermarks>();
  readonly #recent = new Map<string, TopicIds>();
  readonly #windows = new Map<Plan, Map<string, Map<number, StoredWindow>>>();

  constructor(plans: PlanSet) {
    this.plans = plans;
  }

  /** @param now milliseconds since 1970: a time far ahead of it does not advance the watermark */
  handle(events: readonly ReceivedEvent[], now: number): BatchResult {
    const fresh = events.filter((event) => this.#recentOf(event).add(event.partition, hashOfEvent(event)));
    const effects = new Aggregation();
    for (const { topic, partition, events: own } of runsOf(fresh)) {
      const name = `${partition}:${topic}`;
      const before = this.watermarks.get(name) ?? new PartitionWatermarks(topic, partition);
      this.watermarks.set(name, effects.aggregate(this.plans, own, before, now));
    }
    this.#tally(effects);
    return {
      crossings: [...this.#addWindows(effects), ...this.#addSessions(effects)],
      occurrences: effects.occurrences.filter(({ plan, key, values }) =>
        passes(plan, { key, windowStart: null, windowEnd: null, values }),
      ),
    };
  }

  /** The windows of a query, by start and key. */
  rows(plan: Plan): Row[] {
    const rows = [...(this.#windows.get(plan) ?? [])].flatMap(([key, windows]) =>
      [...windows.values()].map(({ start, end, accumulators }) => rowOf(plan, start, key, accumulators, end)),
    );
    return rows.toSorted((a, b) => a.windowStart! - b.windowStart! || (a.key < b.key ? -1 : 1));
  }

  #recentOf({ topic }: ReceivedEvent): TopicIds {
    let recent = this.#recent.get(topic);
    if (!recent) this.#recent.set(topic, (recent = new TopicIds()));
    return recent;
  }

  #tally({ tallies }: Effects): void {
    for (const [plan, added] of tallies) {
      const tally = this.tallies.get(plan) ?? { matched: 0, late: 0, latestMs: 0, failed: 0, failure: undefined };
      tally.matched += added.matched;
      tally.late += added.late;
      tally.latestMs = Math.max(tally.latestMs, added.latestMs);
      tally.failed += added.failed;
      tally.failure = added.failure ?? tally.failure;
      this.tallies.set(plan, tally);
    }
  }

  #windowsOf(plan: Plan, key: string): Map<number, StoredWindow> {
    let keys = this.#windows.get(plan);
    if (!keys) this.#windows.set(plan, (keys = new Map<string, Map<number, StoredWindow>>()));
    let kept = keys.get(key);
    if (!kept) keys.set(key, (kept = new Map<number, StoredWindow>()));
    return kept;
  }

  #addWindows({ windows }: Effects): Crossing[] {
    const changed: Crossing[] = [];
    for (const [plan, deltas] of windows) {
      for (const [start, keys] of deltas) {
        for (const [key, delta] of keys) {
          const kept = this.#windowsOf(plan, key);
          const old = kept.get(start);
          const window = {
            start,
            end: start + plan.query.window!.size,
            ...(old ? mergeStates(plan.layout.accumulators, old, delta.state()) : delta.state()),
            closed: null,
            alerted: old?.alerted ?? false,
          };
          kept.set(start, window);
          changed.push(...crossing(plan, key, window));
        }
      }
    }
    return changed;
  }

  #addSessions({ sessions }: Effects): Crossing[] {
    const changed: Crossing[] = [];
    for (const [plan, keys] of sessions) {
      for (const [key, list] of keys) {
        const kept = this.#windowsOf(plan, key);
        const all = [...kept.values()].map((own) => ({ ...own, emissions: 0, replaces: [], dueAt: null }));
        const { merged, absorbed } = mergeSessions(plan.layout.accumulators, all, list.sessions, false);
        for (const start of absorbed) kept.delete(start);
        for (const session of merged) {
          kept.set(session.start, session);
          changed.push(...crossing(plan, key, session));
        }
      }
    }
    return changed;
  }
}

/** Divides events where the partition changes. */
function runsOf(events: readonly ReceivedEvent[]): { topic: string; partition: number; events: ReceivedEvent[] }[] {
  const all: { topic: string; partition: number; events: ReceivedEvent[] }[] = [];
  for (const event of events) {
    const { topic, partition } = event;
    const last = all.at(-1);
    if (last?.topic === topic && last.partition === partition) last.events.push(event);
    else all.push({ topic, partition, events: [event] });
  }
  return all;
}

/** Marks a window that passes `having` for the first time. */
function crossing(plan: Plan, key: string, window: StoredWindow): Crossing[] {
  const { alert, emit } = plan.query;
  if (!alert || emit?.on === 'close' || window.alerted) return [];
  const row = rowOf(plan, window.start, key, window.accumulators, window.end);
  window.alerted = passes(plan, row);
  return window.alerted ? [{ plan, row }] : [];
}
