import type { ReceivedEvent } from '#contracts/cloudevents.ts';
import type { PoolClient } from '#kit/pg.ts';
import { aggregate, progressOf } from '../engine/aggregate.ts';
import type { Effects } from '../engine/aggregate.ts';
import type { PlanSet } from '../engine/plan.ts';
import { passes, rowOf } from '../engine/rows.ts';
import { raiseAlerts } from '../store/alerts.ts';
import type { AlertCandidate } from '../store/alerts.ts';
import { appendToFeed, orderItem } from '../store/feed.ts';
import { emitMetrics } from '../store/metrics.ts';
import { PartitionMemory } from '../store/partitions.ts';
import { saveProgress } from '../store/progress.ts';
import { addToSessions } from '../store/sessions.ts';
import { addToWindows } from '../store/windows.ts';
import type { ChangedWindow, WindowChanges } from '../store/windows.ts';

export interface EngineOptions {
  /** the consumer group, whose watermarks these are */
  group: string;
  plans: PlanSet;
  /** milliseconds since 1970 */
  now?: () => number;
}

/**
 * Runs the stream queries: turns batches of events into rows within the transaction that also moves the offsets. What it
 * remembers of partitions saves reading it for each batch; nothing is lost with it.
 */
export class Engine {
  readonly group: string;
  /** The queries that run; another set takes effect with the next batch. */
  plans: PlanSet;
  readonly #memory: PartitionMemory;
  readonly #now: () => number;

  constructor({ group, plans, now = Date.now }: EngineOptions) {
    this.group = group;
    this.plans = plans;
    this.#memory = new PartitionMemory(group);
    this.#now = now;
  }

  /** Handles a batch; within a partition its events are in order. */
  async handle(tx: PoolClient, events: readonly ReceivedEvent[]): Promise<void> {
    if (events.length === 0) return;
    const { partitions, fresh, clocksOf } = await this.#memory.open(tx, events);
    const effects = aggregate(this.plans, fresh, clocksOf, this.#now());
    const windows = await addToWindows(tx, effects.windows);
    const sessions = await addToSessions(tx, effects.sessions);
    countRefused(effects, [...windows.refused, ...sessions.refused]);
    const crossing = await markAlerted(tx, [...windows.changed, ...sessions.changed]);
    const alerts = await raiseAlerts(tx, [...eventAlerts(effects), ...crossing]);
    const metrics = await emitMetrics(tx, eventMetrics(effects, this.#now()));
    const orders = fresh.map(orderItem).filter((item) => item !== undefined);
    await appendToFeed(tx, { order: orders, metric: metrics, alert: alerts });
    await saveProgress(tx, { group: this.group, tallies: effects.tallies, clocks: progressOf(effects), partitions });
    this.#memory.close(partitions, effects.clocks);
  }
}

function countRefused(effects: Effects, refused: WindowChanges['refused']): void {
  for (const { plan, delta } of refused) {
    const tally = effects.tallies.get(plan)!;
    tally.matched -= delta.events;
    tally.late += delta.events;
  }
}

/** Windows that pass `having` for the first time: marked, so that later batches need not ask again. */
async function markAlerted(tx: PoolClient, changed: WindowChanges['changed']): Promise<AlertCandidate[]> {
  const crossing = changed.flatMap(candidateOf);
  if (crossing.length === 0) return [];
  await tx.query({
    name: 'windows-alerted',
    text: `UPDATE stream_windows w SET alerted = true
      FROM unnest($1::int[], $2::float8[], $3::text[]) AS t(query_id, seconds, key)
      WHERE w.query_id = t.query_id AND w.window_start = to_timestamp(t.seconds) AND w.key = t.key`,
    values: [
      crossing.map(({ plan }) => plan.id),
      crossing.map(({ row }) => row.windowStart! / 1000),
      crossing.map(({ row }) => row.key),
    ],
  });
  return crossing;
}

function candidateOf({ plan, start, end, key, accumulators, delta }: ChangedWindow): AlertCandidate[] {
  const row = rowOf(plan, start, key, accumulators, end);
  if (!passes(plan, row)) return [];
  return [{ plan, row, occurrence: new Date(start).toISOString(), traceparent: delta.traceparent }];
}

function* eventRows({ occurrences }: Effects) {
  for (const { plan, key, event, values } of occurrences) {
    const row = { key, windowStart: null, windowEnd: null, values };
    if (passes(plan, row)) yield { plan, row, event };
  }
}

function eventAlerts(effects: Effects): AlertCandidate[] {
  return [...eventRows(effects)]
    .filter(({ plan }) => plan.query.alert)
    .map(({ plan, row, event }) => ({ plan, row, occurrence: event.id, traceparent: event.traceparent }));
}

function eventMetrics(effects: Effects, now: number) {
  return [...eventRows(effects)]
    .filter(({ plan }) => !plan.query.alert)
    .map(({ plan, row, event }) => ({
      plan,
      row,
      occurrence: event.id,
      closed: false,
      updatedAt: now,
      traceparent: event.traceparent,
    }));
}
