import type { StreamStatus } from '#contracts/analytics.ts';
import { gauge } from '#kit/metrics.ts';
import type { Pool } from '#kit/pg.ts';
import { completeUntil, lagOf } from '../engine/completeness.ts';
import type { Plan, PlanSet } from '../engine/plan.ts';
import type { Observation, StreamObserver } from './observer.ts';

interface Counters {
  matched: number;
  late: number;
  failed: number;
}

interface Sample {
  /** milliseconds, of a clock that only goes forward */
  at: number;
  counters: ReadonlyMap<number, Counters>;
}

/** Rates are those of the last minute. */
const rateOverMs = 60_000;
/** A sample that old still answers a request. */
const freshMs = 1_000;

const none: Counters = { matched: 0, late: 0, failed: 0 };

/** How each query is doing, from what the database and Kafka say: the same whichever replica is asked. */
export class StatusBoard {
  readonly #pool: Pool;
  readonly #observer: StreamObserver;
  readonly #plans: () => PlanSet;
  #samples: Sample[] = [];
  #observation: Observation | undefined;
  #sampling: Promise<void> | undefined;

  constructor({ pool, observer, plans }: { pool: Pool; observer: StreamObserver; plans: () => PlanSet }) {
    this.#pool = pool;
    this.#observer = observer;
    this.#plans = plans;
    this.#registerMetrics();
  }

  /** Takes a sample. */
  sample(): Promise<void> {
    this.#sampling ??= this.#take().finally(() => (this.#sampling = undefined));
    return this.#sampling;
  }

  async #take(): Promise<void> {
    const [counters, observation] = await Promise.all([readCounters(this.#pool), this.#observer.observe()]);
    const at = performance.now();
    this.#samples = [...this.#samples.filter((sample) => sample.at > at - rateOverMs), { at, counters }];
    this.#observation = observation;
  }

  /** The time up to which a query has seen everything, as of the last sample. */
  watermark(plan: Plan): number | undefined {
    return this.#observation && completeUntil(plan, this.#observation.partitions, this.#observation.now);
  }

  /** How each query is doing, now. */
  async statuses(): Promise<StreamStatus[]> {
    const last = this.#samples.at(-1);
    if (!last || last.at < performance.now() - freshMs) await this.sample();
    return this.#plans()
      .plans.map((plan) => this.#statusOf(plan))
      .toSorted((a, b) => (a.query < b.query ? -1 : 1));
  }

  #statusOf(plan: Plan): StreamStatus {
    const { query, version } = plan;
    const watermark = this.watermark(plan);
    const { matched, late, failed } = this.#counters(plan);
    return {
      query: query.name,
      version,
      state: this.#observation ? stateOf(matched, failed) : 'Waiting', // for Kafka
      sources: query.from.map(({ topic }) => topic),
      window: query.windowText,
      lag: this.#lag(plan),
      watermark: watermark === undefined ? null : new Date(watermark).toISOString(),
      eventsPerSecond: this.#rate(plan),
      lateEvents: late,
      failedEvents: failed,
    };
  }

  #counters(plan: Plan): Counters {
    return this.#samples.at(-1)?.counters.get(plan.id) ?? none;
  }

  #lag({ query }: Plan): number {
    const topics = new Set(query.from.map(({ topic }) => topic));
    const partitions = this.#observation?.partitions.filter(({ topic }) => topics.has(topic)) ?? [];
    return partitions.reduce((lag, partition) => lag + lagOf(partition), 0);
  }

  #rate({ id }: Plan): number {
    const [first, last] = [this.#samples.at(0), this.#samples.at(-1)];
    if (!first || !last || last.at - first.at < 1) return 0;
    const events = (last.counters.get(id) ?? none).matched - (first.counters.get(id) ?? none).matched;
    return Math.round((events / (last.at - first.at)) * 10_000) / 10;
  }

  #registerMetrics(): void {
    const figures = {
      lag_events: ['Events of a stream query that are not counted yet', (plan: Plan) => this.#lag(plan)],
      matched_events: ['Events that counted in a stream query', (plan: Plan) => this.#counters(plan).matched],
      late_events: ['Events dropped after the grace of their window', (plan: Plan) => this.#counters(plan).late],
      failed_events: ['Events that a stream query has no result for', (plan: Plan) => this.#counters(plan).failed],
      watermark_seconds: [
        'Event time up to which a stream query has seen everything',
        (plan: Plan) => seconds(this.watermark(plan)),
      ],
    } as const;
    for (const [name, [help, figure]] of Object.entries(figures)) {
      const values = () => this.#plans().plans.map((plan) => [plan.query.name, figure(plan)] as const);
      gauge({
        name: `millrace_stream_${name}`,
        help,
        labelNames: ['query'],
        collect() {
          this.reset();
          for (const [query, value] of values()) if (value !== undefined) this.set({ query }, value);
        },
      });
    }
  }
}

function seconds(time: number | undefined): number | undefined {
  return time === undefined ? undefined : time / 1000;
}

/** Failed: events come, and the query has a result for none of them. */
function stateOf(matched: number, failed: number): 'Running' | 'Failed' {
  return failed > 0 && matched === 0 ? 'Failed' : 'Running';
}

async function readCounters(pool: Pool): Promise<Map<number, Counters>> {
  const { rows } = await pool.query<{ query_id: number; matched: string; late: string; failed: string }>(
    'SELECT query_id, matched, late, failed FROM stream_counters',
  );
  return new Map(
    rows.map(({ query_id: id, matched, late, failed }) => [
      id,
      { matched: Number(matched), late: Number(late), failed: Number(failed) },
    ]),
  );
}
