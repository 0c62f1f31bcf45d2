import { randomOf, type Random } from '#test/random.ts';
import { consumerGroups } from './consumers.ts';

const services = ['users', 'orders', 'notifications', 'analytics', 'gateway'];
const servers = ['Kafka', 'PostgreSQL'];
const databases = ['users', 'orders', 'orders-read', 'notifications', 'analytics'];
const wires = ['PostgreSQL', 'Kafka', 'SMTP'];
const tables = [
  'users.users',
  'orders.orders',
  'orders-read.orders',
  'notifications.notifications',
  'analytics.stream_windows',
];
const foreignRecords = ['zero-in-id', 'no-headers', 'large', 'tombstone', 'compressed', 'unreadable'];

export interface Draw {
  /** How often it is drawn, relative to the others. */
  weight: number;
  targets: readonly string[];
  /** How long it lasts, from and to, in seconds; a fault of an instant lasts 0. */
  seconds: readonly [number, number];
}

/**
 * What can be drawn. A frozen process is silent for longer than a consumer's session (15 s); a lock is held for longer than
 * a statement may take (15 s).
 */
export const draws = {
  kill: { weight: 5, targets: [...services, ...servers], seconds: [0, 0] },
  freeze: { weight: 4, targets: [...services, ...servers], seconds: [16, 22] },
  restart: { weight: 2, targets: [...services, ...servers], seconds: [0, 0] },
  'kill-backend': { weight: 2, targets: databases, seconds: [0, 0] },
  'freeze-backend': { weight: 2, targets: databases, seconds: [20, 30] },
  cut: { weight: 3, targets: wires, seconds: [2, 20] },
  'black-hole': { weight: 3, targets: wires, seconds: [5, 25] },
  lock: { weight: 2, targets: tables, seconds: [17, 22] },
  password: { weight: 2, targets: databases, seconds: [5, 12] },
  'refuse-connections': { weight: 1, targets: databases, seconds: [5, 12] },
  foreign: { weight: 2, targets: foreignRecords, seconds: [0, 0] },
  intrude: { weight: 1, targets: consumerGroups, seconds: [5, 12] },
  'fill-disk': { weight: 1, targets: ['data'], seconds: [5, 12] },
  'add-partitions': { weight: 0.3, targets: ['order-events', 'user-events'], seconds: [0, 0] },
  'recreate-topic': { weight: 0.3, targets: ['order-events', 'user-events'], seconds: [0, 8] },
  skew: { weight: 2, targets: [...services, 'all'], seconds: [8, 25] },
} satisfies Draws<string>;

/** The draws of some kinds of faults. */
export type Draws<K extends string> = Readonly<Record<K, Draw>>;

export type FaultKind = keyof typeof draws;

export const faultKinds = Object.keys(draws) as FaultKind[];

export interface PlannedFault<K extends string = string> {
  kind: K;
  target: string;
  seconds: number;
  /** From 0 to below 1: chooses one of several, such as one of the sessions of a database. */
  choice: number;
}

/** One fault, or two that overlap, and the rest after them. */
export interface Step<K extends string = string> {
  /** When it begins, in seconds from the start of the load; later if the step before it needs longer to recover. */
  at: number;
  faults: PlannedFault<K>[];
  rest: number;
}

export interface Plan<K extends string = string> {
  seed: number;
  minutes: number;
  steps: Step<K>[];
}

const warmUpSeconds = 5;
const pairs = 0.35;

/** The faults of a run: the same for the same seed and length. */
export function drawPlan(seed: number, minutes: number, kinds: readonly FaultKind[] = faultKinds): Plan<FaultKind> {
  return drawFrom(draws, kinds, { seed, minutes });
}

/** The same with other draws. */
export function drawFrom<K extends string>(
  table: Draws<K>,
  kinds: readonly K[],
  { seed, minutes }: { seed: number; minutes: number },
): Plan<K> {
  const random = randomOf(seed);
  const steps: Step<K>[] = [];
  for (let at = warmUpSeconds; ;) {
    const faults = [drawFault(random, table, kinds)];
    if (random.chance(pairs)) {
      const other = drawFault(random, table, kinds);
      if (!isSame(faults[0]!, other)) faults.push(other);
    }
    const rest = random.int(6, 14);
    const end = at + Math.max(...faults.map(({ seconds }) => seconds)) + rest;
    if (steps.length > 0 && end > minutes * 60) return { seed, minutes, steps };
    steps.push({ at, faults, rest });
    at = end;
  }
}

function drawFault<K extends string>(random: Random, table: Draws<K>, kinds: readonly K[]): PlannedFault<K> {
  const kind = drawKind(random, table, kinds);
  const { targets, seconds } = table[kind];
  return { kind, target: random.pick(targets), seconds: random.int(...seconds), choice: random.next() };
}

function drawKind<K extends string>(random: Random, table: Draws<K>, kinds: readonly K[]): K {
  const total = kinds.reduce((sum, kind) => sum + table[kind].weight, 0);
  let left = random.next() * total;
  return kinds.find((kind) => (left -= table[kind].weight) < 0) ?? kinds[0]!;
}

function isSame(a: PlannedFault, b: PlannedFault): boolean {
  return a.kind === b.kind && a.target === b.target;
}

/**
 * A clock from half a day back to half a day ahead, small errors as often as large ones; two such clocks differ by less than
 * the grace of the windows that are compared, which is 24 h.
 * @param choice from 0 to below 1
 * @returns how far it is ahead, in milliseconds; at least a minute, either way
 */
export function clockOf(choice: number): number {
  const sign = choice < 0.5 ? -1 : 1;
  return sign * Math.round(60_000 * maxSkewMinutes ** ((choice * 2) % 1));
}

const maxSkewMinutes = 11 * 60;

/** A fault in words. */
export function describeFault({ kind, target, seconds, choice }: PlannedFault): string {
  const how = kind === 'skew' ? ` by ${Math.round(clockOf(choice) / 60_000)} min` : '';
  return `${kind} ${target}${how}${seconds > 0 ? ` for ${seconds} s` : ''}`;
}
