import { contractDecoder, identityOf } from '#platform/contract';
import type { DecodeEvent, EventTypes, ReceivedEvent } from '#platform/contract';
import type { Accumulation, PartitionEvents } from '#platform/inbox';
import { counter } from '#platform/telemetry';
import { nameOf } from '#platform/kafka';
import type { ByteRange, IncomingMessage, TopicPartition } from '#platform/kafka';
import type { PoolClient } from '#platform/postgres';
import {
  advanceWatermarks,
  Aggregation,
  hashOfEvent,
  hasLongNumber,
  maxRepeatDistance,
  parseExactly,
  passes,
  withoutForgotten,
  withoutRefused,
} from '#streams/engine';
import type { Exceptions, Occurrence, PartitionWatermarks, PlanSet, Versions } from '#streams/engine';
import {
  addToSessions,
  addToWindows,
  appendToFeed,
  feedKeptMs,
  markAlerted,
  MetricBatch,
  raiseAlerts,
  readForgotten,
  saveProgress,
} from '#streams/store';
import type { AlertCandidate, PartitionMemory, SeenIds } from '#streams/store';

/** The source events in the live stream. */
export interface SourceFeed {
  /** the name of these events in the live stream */
  kind: string;
  /** JSON text; undefined for events that the live stream leaves out */
  itemOf: (event: ReceivedEvent) => string | undefined;
}

export interface AccumulationOptions {
  /** the consumer group that reads the events */
  group: string;
  /** the versions at the start of the accumulation */
  versions: Versions;
  /**
   * Checks, in the transaction that writes, that the same versions still take the events of the partitions.
   * @throws Outdated if they do not
   */
  confirm: (tx: PoolClient, versions: Versions, partitions: readonly TopicPartition[]) => Promise<void>;
  memory: PartitionMemory;
  /** default: the live stream has metrics and alerts alone */
  feed?: SourceFeed | undefined;
  /** milliseconds since 1970 */
  now: () => number;
}

const repeated = counter({
  name: 'millrace_stream_repeated_events_total',
  help: 'Repeated events that were skipped',
  labelNames: ['topic'],
});

/** The effects of events on the stream queries, until they are written. */
export class QueryAccumulation implements Accumulation {
  readonly #options: AccumulationOptions;
  readonly #aggregation = new Aggregation();
  /** of queries without a window */
  readonly #alerts: AlertCandidate[] = [];
  readonly #metrics = new MetricBatch();
  /** JSON texts for the live stream */
  readonly #feed = { source: [] as string[], metric: [] as string[] };
  readonly #partitions = new Map<string, SeenIds & { hashes: number[]; watermarks: PartitionWatermarks }>();

  constructor(options: AccumulationOptions) {
    this.#options = options;
  }

  /** The versions that take the events. */
  get versions(): Versions {
    return this.#options.versions;
  }

  /** @param exceptions of events that are replays */
  add({ topic, partition, events, next }: PartitionEvents, exceptions?: Exceptions): void {
    const { group, memory, versions, now } = this.#options;
    const known = memory.get({ topic, partition });
    known.next = next;
    const last = events.at(-1)?.offset;
    if (last === undefined) return;
    const name = nameOf({ topic, partition });
    let own = this.#partitions.get(name);
    if (!own) {
      known.watermarks = known.watermarks.inactive(); // its earlier events are of other batches
      own = { topic, partition, last, hashes: [], watermarks: known.watermarks };
      this.#partitions.set(name, own);
    }
    own.last = last;
    const recent = memory.idsOf(topic);
    const fresh = events.filter((event) => {
      const hash = hashOfEvent(event);
      const isNew = recent.add(partition, hash);
      if (isNew) own.hashes.push(hash);
      return isNew;
    });
    const schedule = versions.scheduleOf(group, { topic, partition });
    const readers = exceptions ? versions.everything : schedule.everything;
    for (const event of fresh) this.#readData(event, readers);
    const time = now();
    const segments = schedule.split(fresh);
    for (const { plans, waiting, events: part } of exceptions ? versions.except(segments, exceptions) : segments) {
      known.watermarks = this.#aggregation.aggregate(plans, part, known.watermarks, time);
      if (waiting.length > 0) advanceWatermarks(waiting, part, known.watermarks, time);
    }
    own.watermarks = known.watermarks;
    for (const occurrence of this.#aggregation.takeOccurrences()) this.#occur(occurrence, time);
    if (group !== versions.group) return; // the live group has written the items of these orders
    if (fresh.length < events.length) repeated.inc({ topic }, events.length - fresh.length);
    for (const event of fresh) this.#follow(event, time);
  }

  /** Decodes the members of lazy JSON that the queries, or the live stream, need. */
  #readData(event: ReceivedEvent, plans: PlanSet): void {
    const { data } = event;
    if (!(data instanceof LazyJson)) return;
    try {
      event.data = isLive(event, this.#options.now())
        ? parseExactly(data.text)
        : plans.readersOf(event.topic, event.type).read(data);
    } catch {
      event.data = undefined; // each query counts it as failed
    }
  }

  #occur({ plan, key, event, values }: Occurrence, now: number): void {
    const row = { key, windowStart: null, windowEnd: null, values };
    if (!passes(plan, row)) return;
    const { traceparent } = event;
    const occurrence = identityOf(event);
    if (plan.query.alert) {
      this.#alerts.push({ plan, row, occurrence, traceparent, backfillTime: plan.isBuilding ? event.time : undefined });
      return;
    }
    const text = this.#metrics.add({ plan, row, occurrence, closed: false, updatedAt: now, traceparent });
    const { group, versions } = this.#options;
    if (group === versions.group && isLive(event, now)) this.#feed.metric.push(text);
  }

  #follow(event: ReceivedEvent, now: number): void {
    const item = isLive(event, now) ? this.#options.feed?.itemOf(event) : undefined;
    if (item !== undefined) this.#feed.source.push(item);
  }

  async write(tx: PoolClient): Promise<void> {
    const { group, versions, confirm, feed, now } = this.#options;
    const { windows, sessions } = this.#aggregation;
    const partitions = [...this.#partitions.values()];
    await confirm(tx, versions, partitions);
    const forgotten = await readForgotten(tx, [...windows.keys(), ...sessions.keys()]);
    const standing = withoutForgotten(this.#aggregation, forgotten);
    const changes = await addToWindows(tx, standing.windows);
    const sessionChanges = await addToSessions(tx, standing.sessions);
    const crossing = await markAlerted(tx, [...changes.changed, ...sessionChanges.changed]);
    const alerts = await raiseAlerts(tx, [...this.#alerts, ...crossing], now());
    await this.#metrics.write(tx);
    const { source, metric } = this.#feed;
    await appendToFeed(tx, { ...(feed && { [feed.kind]: source }), metric, alert: alerts });
    await saveProgress(tx, {
      group,
      tallies: withoutRefused(this.#aggregation, [...standing.refused, ...changes.refused, ...sessionChanges.refused]),
      watermarks: partitions.flatMap(({ watermarks }) => watermarks.activeEntries()),
      seen: partitions.map((seen) => ({ ...seen, hashes: seen.hashes.slice(-maxRepeatDistance) })),
    });
  }
}

/** JSON that is not decoded yet: the queries decode the members that they need. */
class LazyJson implements ByteRange {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;

  constructor({ bytes, start, end }: ByteRange) {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
  }

  get text(): string {
    return this.bytes.toString('utf8', this.start, this.end);
  }
}

/**
 * Makes a decoder that checks the data against the contracts, as every consumer does, and leaves most of it to the queries,
 * which decode the members that they need.
 */
export function lazyDecoder(events: EventTypes): DecodeEvent<IncomingMessage> {
  return contractDecoder(events, (json, data) => {
    const lazy = new LazyJson(json);
    if (data === undefined) return lazy;
    return hasLongNumber(lazy.text) ? parseExactly(lazy.text) : data;
  });
}

/** Whether an event is recent enough for the live stream: a backfill reads events of the past. */
function isLive({ time }: ReceivedEvent, now: number): boolean {
  return time >= now - feedKeptMs;
}
