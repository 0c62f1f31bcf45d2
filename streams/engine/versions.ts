import type { ReceivedEvent } from '#platform/contract';
import { backfillGroup } from '#platform/declarations';
import type { TopicPartition } from '#platform/kafka';
import { PlanSet, eventClock } from './plan.ts';
import type { Plan } from './plan.ts';

/** A version of a query that is not retired. */
export interface LiveVersion {
  plan: Plan;
  /** distinguishes the definitions that a version has had */
  stamp: string;
  /** whether it has emitted all changes from the time of its backfill */
  isReleased: boolean;
}

/**
 * The consumer group whose events a version takes in a partition, from an offset on. A version without a subscription takes
 * all events of the live group.
 */
export interface Subscription extends TopicPartition {
  id: number;
  group: string;
  from: bigint;
}

const nameOf = ({ topic, partition }: TopicPartition) => `${partition}:${topic}`;

interface Step {
  from: bigint;
  plans: PlanSet;
}

/** Consecutive events of a partition that the same versions take. */
export interface Segment {
  plans: PlanSet;
  /** versions that begin later and have clocks of their own: these events advance their watermarks */
  waiting: readonly Plan[];
  events: readonly ReceivedEvent[];
}

/**
 * Which versions take a replayed event otherwise than from their offset on, by its offset: one that has it from its backfill takes it
 * no more, and one whose backfill could not handle it takes it.
 */
export type Exceptions = ReadonlyMap<bigint, readonly { id: number; isTaken: boolean }[]>;

/** Which versions take the events of a partition that one group reads, and from which offsets on. */
export class PartitionSchedule {
  /** equal for the same definitions from the same offsets */
  readonly key: string;
  /** in the order of their offsets; the first is 0 */
  readonly #steps: readonly Step[];

  constructor(steps: readonly Step[], stamps: ReadonlyMap<number, string>) {
    this.#steps = steps;
    this.key = steps
      .map(({ from, plans }) => `${from}: ${plans.plans.map(({ id }) => stamps.get(id)).join(' ')}`)
      .join('; ');
  }

  /** The last offset at which a version begins. */
  get settledFrom(): bigint {
    return this.#steps.at(-1)!.from;
  }

  /** All versions, from whichever offset on they take events. */
  get everything(): PlanSet {
    return this.#steps.at(-1)!.plans;
  }

  get plans(): readonly Plan[] {
    return this.everything.plans;
  }

  /** Splits consecutive events at the offsets at which versions begin. */
  split(events: readonly ReceivedEvent[]): Segment[] {
    const [first] = events;
    if (!first) return [];
    const last = this.#steps.at(-1)!;
    if (first.offset >= last.from) return [{ plans: last.plans, waiting: [], events }];
    return this.#steps.flatMap(({ from, plans }, i) => {
      const until = this.#steps[i + 1]?.from;
      const own = events.filter(({ offset }) => offset >= from && (until === undefined || offset < until));
      const waiting = this.plans.filter((plan) => plan.clock !== eventClock && !plans.plans.includes(plan));
      return own.length > 0 ? [{ plans, waiting, events: own }] : [];
    });
  }
}

/**
 * Which versions of queries run, and from which offsets each of them takes events: a snapshot of the database. Every worker
 * follows it, whatever its own files declare. It is immutable: a change makes another one.
 */
export class Versions {
  /** the live group: the service's own consumer group */
  readonly group: string;
  /** grows with every change */
  readonly epoch: bigint;
  /** the versions that answer requests, emit and close windows */
  readonly serving: PlanSet;
  /** those of them that have changes to emit from the time of their backfill */
  readonly unreleased: PlanSet;
  /** the versions that serve when they have caught up */
  readonly building: readonly Plan[];
  readonly #live: readonly LiveVersion[];
  readonly #subscriptions: readonly Subscription[];
  readonly #stamps: ReadonlyMap<number, string>;
  readonly #schedules = new Map<string, PartitionSchedule>();
  readonly #sets = new Map<string, PlanSet>();

  constructor(group: string, epoch: bigint, live: readonly LiveVersion[], subscriptions: readonly Subscription[]) {
    this.group = group;
    this.epoch = epoch;
    this.#live = live;
    this.#subscriptions = subscriptions;
    this.#stamps = new Map(live.map(({ plan, stamp }) => [plan.id, stamp]));
    const plansThat = (applies: (version: LiveVersion) => boolean) => live.filter(applies).map(({ plan }) => plan);
    this.serving = new PlanSet(plansThat(({ plan }) => !plan.isBuilding));
    this.unreleased = new PlanSet(plansThat(({ plan, isReleased }) => !plan.isBuilding && !isReleased));
    this.building = plansThat(({ plan }) => plan.isBuilding);
  }

  /** Which versions take the events of a partition that a group reads. */
  scheduleOf(group: string, partition: TopicPartition): PartitionSchedule {
    const name = `${group} ${nameOf(partition)}`;
    let schedule = this.#schedules.get(name);
    if (!schedule) this.#schedules.set(name, (schedule = this.#makeSchedule(group, partition)));
    return schedule;
  }

  #makeSchedule(group: string, partition: TopicPartition): PartitionSchedule {
    const own = this.#subscriptions.filter((subscription) => nameOf(subscription) === nameOf(partition));
    const starts = this.#live.flatMap(({ plan }) => {
      const subscription = own.find(({ id }) => id === plan.id);
      if (subscription) return subscription.group === group ? [{ plan, from: subscription.from }] : [];
      return group === this.group ? [{ plan, from: 0n }] : [];
    });
    const offsets = [...new Set([0n, ...starts.map(({ from }) => from)])].toSorted((a, b) => Number(a - b));
    const steps = offsets.map((offset) => {
      const plans = starts.filter(({ from }) => from <= offset).map(({ plan }) => plan);
      return { from: offset, plans: this.#setOf(plans) };
    });
    return new PartitionSchedule(steps, this.#stamps);
  }

  /** All versions, whichever group's events they take. */
  get everything(): PlanSet {
    return this.#setOf(this.#live.map(({ plan }) => plan));
  }

  /** The versions of a segment, with exceptions for each of its events. */
  except(segments: readonly Segment[], exceptions: Exceptions): Segment[] {
    return segments.flatMap(({ plans, waiting, events }) =>
      events.map((event) => {
        const own = exceptions.get(event.offset) ?? [];
        const isTaken = new Map(own.map((one) => [one.id, one.isTaken]));
        const taking = this.#live.filter(({ plan }) => !(isTaken.get(plan.id) ?? !plans.plans.includes(plan)));
        return { plans: this.#setOf(taking.map(({ plan }) => plan)), waiting, events: [event] };
      }),
    );
  }

  /** Partitions share plan sets, because a set caches which of its plans read which events. */
  #setOf(plans: readonly Plan[]): PlanSet {
    const name = plans.map(({ id }) => id).join(' ');
    let set = this.#sets.get(name);
    if (!set) this.#sets.set(name, (set = new PlanSet(plans)));
    return set;
  }

  /** The partitions that the backfill has to read, for which versions, and from which offsets on. */
  get backlog(): (TopicPartition & { plan: Plan; from: bigint })[] {
    const group = backfillGroup(this.group);
    return this.#subscriptions
      .filter((subscription) => subscription.group === group)
      .flatMap(({ id, topic, partition, from }) => {
        const plan = this.#live.find((version) => version.plan.id === id)?.plan;
        return plan ? [{ topic, partition, from, plan }] : [];
      });
  }

  /** Whether versions take events from offsets on that may say nothing any more. */
  get hasStarts(): boolean {
    return this.#subscriptions.length > 0;
  }

  /** The versions that are being built and have caught up: they can serve. */
  get caughtUp(): Plan[] {
    const behind = new Set(this.backlog.map(({ plan }) => plan.id));
    return this.building.filter(({ id }) => !behind.has(id));
  }

  /**
   * The versions that can move from the backfill to the live group in a partition, when the backfill is at an offset that
   * the live group has not passed. Also their clocks, except those that the live group keeps already.
   */
  promotable(partition: TopicPartition, next: bigint): { plans: Plan[]; clocks: string[] } {
    const own = this.scheduleOf(this.group, partition);
    // a version that begins at a higher offset has brought its watermark: earlier ones would find it ahead of them
    if (next < own.settledFrom) return { plans: [], clocks: [] };
    const plans = this.backlog
      .filter((entry) => nameOf(entry) === nameOf(partition) && entry.from <= next)
      .map(({ plan }) => plan);
    const kept = new Set([eventClock, ...own.plans.map(({ clock }) => clock)]); // every group keeps the event clock
    return { plans, clocks: [...new Set(plans.map(({ clock }) => clock))].filter((clock) => !kept.has(clock)) };
  }
}
