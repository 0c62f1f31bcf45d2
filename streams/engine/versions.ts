import type { ReceivedEvent } from '#platform/contract';
import { backfillGroup } from '#platform/declarations';
import { PlanSet, eventClock } from './plan.ts';
import type { Plan } from './plan.ts';

/** A version of a query that takes events. */
export interface LiveVersion {
  plan: Plan;
  /** tells its definition from others that the same version has had */
  stamp: string;
  /** whether all that it held back while it was built has been emitted */
  isReleased: boolean;
}

type Place = { topic: string; partition: number };

/**
 * From where a version takes the events of a partition: those that a consumer group brings, from an offset on. Without one
 * it takes all that the service's own group brings.
 */
export interface Member extends Place {
  id: number;
  group: string;
  from: bigint;
}

const nameOf = ({ topic, partition }: Place) => `${partition}:${topic}`;

interface Step {
  from: bigint;
  plans: PlanSet;
}

/** Events of a partition that the same versions take. */
export interface Cut {
  plans: PlanSet;
  /** versions with clocks of their own that join in later: their clocks go on all the same */
  waiting: readonly Plan[];
  events: readonly ReceivedEvent[];
}

/** What takes the events of a partition as one group brings them. */
export class Riding {
  /** the same for the same definitions from the same offsets */
  readonly key: string;
  /** in the order of their offsets; the first is 0 */
  readonly #steps: readonly Step[];

  constructor(steps: readonly Step[], stamps: ReadonlyMap<number, string>) {
    this.#steps = steps;
    this.key = steps
      .map(({ from, plans }) => `${from}: ${plans.plans.map(({ id }) => stamps.get(id)).join(' ')}`)
      .join('; ');
  }

  /** The last offset at which another version joins in. */
  get settledFrom(): bigint {
    return this.#steps.at(-1)!.from;
  }

  /** Everything that takes events from some offset on. */
  get everything(): PlanSet {
    return this.#steps.at(-1)!.plans;
  }

  get plans(): readonly Plan[] {
    return this.everything.plans;
  }

  /** Cuts events that follow each other where versions join in. */
  cut(events: readonly ReceivedEvent[]): Cut[] {
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
 * Which versions of queries run, and from where each of them takes its events, as the database had it at some time. Every
 * worker goes by it, whatever it has read of the files. Never changed: another one takes its place.
 */
export class Versions {
  /** the service's own consumer group */
  readonly group: string;
  /** grows with every change */
  readonly epoch: bigint;
  /** the versions that are asked for figures, emit and close */
  readonly serving: PlanSet;
  /** of those, the ones that have yet to emit what they held back while they were built */
  readonly unreleased: PlanSet;
  /** the versions that take their places when they have caught up */
  readonly building: readonly Plan[];
  readonly #live: readonly LiveVersion[];
  readonly #members: readonly Member[];
  readonly #stamps: ReadonlyMap<number, string>;
  readonly #ridings = new Map<string, Riding>();
  readonly #sets = new Map<string, PlanSet>();

  constructor(group: string, epoch: bigint, live: readonly LiveVersion[], members: readonly Member[]) {
    this.group = group;
    this.epoch = epoch;
    this.#live = live;
    this.#members = members;
    this.#stamps = new Map(live.map(({ plan, stamp }) => [plan.id, stamp]));
    const plansThat = (applies: (version: LiveVersion) => boolean) => live.filter(applies).map(({ plan }) => plan);
    this.serving = new PlanSet(plansThat(({ plan }) => !plan.isBuilding));
    this.unreleased = new PlanSet(plansThat(({ plan, isReleased }) => !plan.isBuilding && !isReleased));
    this.building = plansThat(({ plan }) => plan.isBuilding);
  }

  /** What takes the events that a group brings of a partition. */
  riding(group: string, place: Place): Riding {
    const name = `${group} ${nameOf(place)}`;
    let riding = this.#ridings.get(name);
    if (!riding) this.#ridings.set(name, (riding = this.#ridingOf(group, place)));
    return riding;
  }

  #ridingOf(group: string, place: Place): Riding {
    const own = this.#members.filter((member) => nameOf(member) === nameOf(place));
    const starts = this.#live.flatMap(({ plan }) => {
      const member = own.find(({ id }) => id === plan.id);
      if (member) return member.group === group ? [{ plan, from: member.from }] : [];
      return group === this.group ? [{ plan, from: 0n }] : [];
    });
    const offsets = [...new Set([0n, ...starts.map(({ from }) => from)])].toSorted((a, b) => Number(a - b));
    const steps = offsets.map((offset) => {
      const plans = starts.filter(({ from }) => from <= offset).map(({ plan }) => plan);
      return { from: offset, plans: this.#setOf(plans) };
    });
    return new Riding(steps, this.#stamps);
  }

  /** Partitions share their sets: a set remembers which of its plans read what. */
  #setOf(plans: readonly Plan[]): PlanSet {
    const name = plans.map(({ id }) => id).join(' ');
    let set = this.#sets.get(name);
    if (!set) this.#sets.set(name, (set = new PlanSet(plans)));
    return set;
  }

  /** The places whose events have to be read again, and for which versions, from which offset on. */
  get backlog(): (Place & { plan: Plan; from: bigint })[] {
    const group = backfillGroup(this.group);
    return this.#members
      .filter((member) => member.group === group)
      .flatMap(({ id, topic, partition, from }) => {
        const plan = this.#live.find((version) => version.plan.id === id)?.plan;
        return plan ? [{ topic, partition, from, plan }] : [];
      });
  }

  /** The versions that are being built and have caught up: they take their places. */
  get caughtUp(): Plan[] {
    const behind = new Set(this.backlog.map(({ plan }) => plan.id));
    return this.building.filter(({ id }) => !behind.has(id));
  }

  /**
   * The versions that may go on with the service's own group where the backfill has come to an offset, once the own group
   * is not beyond it. Their clocks there, unless another version keeps them already.
   */
  arrivals(place: Place, next: bigint): { plans: Plan[]; clocks: string[] } {
    const own = this.riding(this.group, place);
    // one that joined further on has brought its clock along: those before it would find it ahead
    if (next < own.settledFrom) return { plans: [], clocks: [] };
    const plans = this.backlog
      .filter((entry) => nameOf(entry) === nameOf(place) && entry.from <= next)
      .map(({ plan }) => plan);
    const kept = new Set([eventClock, ...own.plans.map(({ clock }) => clock)]); // every group keeps the events' own
    return { plans, clocks: [...new Set(plans.map(({ clock }) => clock))].filter((clock) => !kept.has(clock)) };
  }
}
