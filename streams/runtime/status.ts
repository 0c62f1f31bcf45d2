import { createHash } from 'node:crypto';
import type { StreamStatus } from '#streams/contract';
import type { QueryFault } from '#streams/language';
import { gauge } from '#platform/telemetry';
import type { Pool } from '#platform/postgres';
import { backfillGroup } from '#platform/declarations';
import { buildProgress, isObserved, lagOf, queryWatermark } from '#streams/engine';
import type { BuildProgress, Observation, Plan, Versions } from '#streams/engine';
import { readPositions } from '#streams/store';
import type { PartitionPosition } from '#streams/store';
import type { StreamObserver } from './observer.ts';

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

/** Rates are averages over the last minute. */
const rateOverMs = 60_000;
/** A request uses a sample of up to this age. */
const freshMs = 1_000;

const none: Counters = { matched: 0, late: 0, failed: 0 };

export interface StatusBoardOptions {
  pool: Pool;
  observer: StreamObserver;
  versions: () => Versions;
  faults: () => readonly QueryFault[];
}

/** The status of each query, from the database and Kafka: the same on all replicas. */
export class StatusBoard {
  readonly #pool: Pool;
  readonly #observer: StreamObserver;
  readonly #versions: () => Versions;
  readonly #faults: () => readonly QueryFault[];
  #samples: Sample[] = [];
  #observation: Observation | undefined;
  /** the positions of the backfill, while it runs */
  #backfill: PartitionPosition[] = [];
  #sampling: Promise<void> | undefined;

  constructor({ pool, observer, versions, faults }: StatusBoardOptions) {
    this.#pool = pool;
    this.#observer = observer;
    this.#versions = versions;
    this.#faults = faults;
    this.#registerMetrics();
  }

  /** Takes a sample. */
  sample(): Promise<void> {
    this.#sampling ??= this.#take().finally(() => (this.#sampling = undefined));
    return this.#sampling;
  }

  async #take(): Promise<void> {
    const { backlog, group } = this.#versions();
    const [counters, observation, backfill] = await Promise.all([
      readCounters(this.#pool),
      this.#observer.observe(),
      backlog.length > 0 ? readPositions(this.#pool, backfillGroup(group)) : undefined,
    ]);
    const at = performance.now();
    this.#samples = [...this.#samples.filter((sample) => sample.at > at - rateOverMs), { at, counters }];
    this.#observation = observation;
    this.#backfill = backfill?.partitions ?? [];
  }

  /** The watermark of a query at the last sample. */
  watermark(plan: Plan): number | undefined {
    return this.#observation && queryWatermark(plan, this.#observation);
  }

  /** The current status of each query. */
  async statuses(): Promise<StreamStatus[]> {
    const last = this.#samples.at(-1);
    if (!last || last.at < performance.now() - freshMs) await this.sample();
    const { serving, building } = this.#versions();
    const first = building.filter(({ query }) => !serving.named(query.name));
    const known = [...serving.plans, ...first].map((plan) => this.#statusOf(plan));
    const names = new Set(known.map(({ query }) => query));
    const unknown = Map.groupBy(this.#faults(), ({ query, file }) => query ?? file);
    const faulty = [...unknown].filter(([name]) => !names.has(name));
    return [...known, ...faulty.map(([name, faults]) => neverRan(name, faults))].toSorted((a, b) =>
      a.query < b.query ? -1 : 1,
    );
  }

  #statusOf(plan: Plan): StreamStatus {
    const { query, version, isBuilding } = plan;
    const watermark = isBuilding ? undefined : this.watermark(plan);
    const { matched, late, failed } = this.#counters(plan);
    const next = this.#versions().building.find((other) => other.query.name === query.name);
    const progress = next && this.#progressOf(next);
    const faults = this.#faults().filter((fault) => fault.query === query.name);
    return {
      query: query.name,
      version,
      definition: definitionOf(plan),
      state:
        this.#observation && isObserved(plan, this.#observation) && !isBuilding ? stateOf(matched, failed) : 'Waiting', // for Kafka, or for its backfill
      sources: query.from.map(({ topic }) => topic),
      window: query.windowText,
      lag: isBuilding ? (progress?.eventsLeft ?? 0) : this.#lag(plan),
      watermark: watermark === undefined ? null : new Date(watermark).toISOString(),
      eventsPerSecond: this.#rate(plan),
      lateEvents: late,
      failedEvents: failed,
      ...(progress && {
        building: {
          version: next.version,
          definition: definitionOf(next),
          progress: progress.percent,
          eventsLeft: progress.eventsLeft,
        },
      }),
      ...(faults.length > 0 && { faults: faults.map(textOf) }),
    };
  }

  #progressOf(plan: Plan): BuildProgress {
    const behind = this.#versions()
      .backlog.filter((entry) => entry.plan === plan)
      .map(({ topic, partition, from }) => {
        const own = this.#backfill.find((known) => known.topic === topic && known.partition === partition);
        const next = own?.nextOffset ?? from;
        return { topic, partition, from: next > from ? next : from };
      });
    return buildProgress(plan, behind, this.#observation?.partitions ?? []);
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
      lag_events: ['Events that a stream query has not read yet', (plan: Plan) => this.#lag(plan)],
      matched_events: ['Events that counted in a stream query', (plan: Plan) => this.#counters(plan).matched],
      late_events: ['Events dropped after the grace of their window', (plan: Plan) => this.#counters(plan).late],
      failed_events: ['Events for which a stream query has no result', (plan: Plan) => this.#counters(plan).failed],
      watermark_seconds: [
        'Watermark of a stream query: it has seen all events up to this time',
        (plan: Plan) => seconds(this.watermark(plan)),
      ],
    } as const;
    for (const [name, [help, figure]] of Object.entries(figures)) {
      const values = () => this.#versions().serving.plans.map((plan) => [plan.query.name, figure(plan)] as const);
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
    const left = () => this.#versions().building.map((plan) => [plan, this.#progressOf(plan).eventsLeft] as const);
    gauge({
      name: 'millrace_stream_building_left_events',
      help: 'Events that a version of a stream query has to read before it serves',
      labelNames: ['query', 'version'],
      collect() {
        this.reset();
        for (const [{ query, version }, events] of left()) this.set({ query: query.name, version }, events);
      },
    });
  }
}

/** The status of a query whose file has had mistakes from the start. */
function neverRan(query: string, faults: readonly QueryFault[]): StreamStatus {
  return {
    query,
    version: 0,
    state: 'Failed',
    sources: [],
    window: null,
    lag: 0,
    watermark: null,
    eventsPerSecond: 0,
    lateEvents: 0,
    failedEvents: 0,
    faults: faults.map(textOf),
  };
}

/** A hash that identifies the text of a query's file. */
function definitionOf({ query }: Plan): string {
  return createHash('sha256').update(query.definition).digest('hex');
}

function textOf({ file, line, message }: QueryFault): string {
  return `${file}:${line}: ${message}`;
}

function seconds(time: number | undefined): number | undefined {
  return time === undefined ? undefined : time / 1000;
}

/** Failed: the query has a result for none of its events. */
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
