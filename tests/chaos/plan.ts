import { randomOf, type Random } from '#test/random.ts';

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
const foreignRecords = ['zero-in-id', 'no-headers', 'large', 'tombstone', 'compressed'];

interface Draw {
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
  'fill-disk': { weight: 1, targets: ['data'], seconds: [5, 12] },
  'add-partitions': { weight: 0.3, targets: ['order-events', 'user-events'], seconds: [0, 0] },
} satisfies Record<string, Draw>;

export type FaultKind = keyof typeof draws;

export const faultKinds = Object.keys(draws) as FaultKind[];

export interface PlannedFault {
  kind: FaultKind;
  target: string;
  seconds: number;
  /** From 0 to below 1: chooses one of several, such as one of the sessions of a database. */
  choice: number;
}

/** One fault, or two that overlap, and the rest after them. */
export interface Step {
  /** When it begins, in seconds from the start of the load; later if the step before it needs longer to recover. */
  at: number;
  faults: PlannedFault[];
  rest: number;
}

export interface Plan {
  seed: number;
  minutes: number;
  steps: Step[];
}

const warmUpSeconds = 5;
const pairs = 0.35;

/** The faults of a run: the same for the same seed and length. */
export function drawPlan(seed: number, minutes: number, kinds: readonly FaultKind[] = faultKinds): Plan {
  const random = randomOf(seed);
  const steps: Step[] = [];
  for (let at = warmUpSeconds; ;) {
    const faults = [drawFault(random, kinds)];
    if (random.chance(pairs)) {
      const other = drawFault(random, kinds);
      if (!isSame(faults[0]!, other)) faults.push(other);
    }
    const rest = random.int(6, 14);
    const end = at + Math.max(...faults.map(({ seconds }) => seconds)) + rest;
    if (steps.length > 0 && end > minutes * 60) return { seed, minutes, steps };
    steps.push({ at, faults, rest });
    at = end;
  }
}

function drawFault(random: Random, kinds: readonly FaultKind[]): PlannedFault {
  const kind = drawKind(random, kinds);
  const { targets, seconds }: Draw = draws[kind];
  return { kind, target: random.pick(targets), seconds: random.int(...seconds), choice: random.next() };
}

function drawKind(random: Random, kinds: readonly FaultKind[]): FaultKind {
  const total = kinds.reduce((sum, kind) => sum + draws[kind].weight, 0);
  let left = random.next() * total;
  return kinds.find((kind) => (left -= draws[kind].weight) < 0) ?? kinds[0]!;
}

function isSame(a: PlannedFault, b: PlannedFault): boolean {
  return a.kind === b.kind && a.target === b.target;
}

/** A fault in words. */
export function describeFault({ kind, target, seconds }: PlannedFault): string {
  return `${kind} ${target}${seconds > 0 ? ` for ${seconds} s` : ''}`;
}
