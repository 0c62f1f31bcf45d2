import type { FindingKind } from './check.ts';
import type { ScheduleResult } from './schedule.ts';

/** The sums of a run. */
export interface Summary {
  schedules: number;
  steps: number;
  crashes: number;
  simulatedHours: number;
  /** schedules with a finding */
  anomalies: number;
  lost: number;
  doubled: number;
  reordered: number;
  deadLetters: number;
  windows: number;
  stuck: number;
  falseGreens: number;
  endless: number;
}

const fields: Record<FindingKind, keyof Summary> = {
  lost: 'lost',
  doubled: 'doubled',
  reordered: 'reordered',
  'dead-letter': 'deadLetters',
  window: 'windows',
  stuck: 'stuck',
  'false-green': 'falseGreens',
  endless: 'endless',
};

/** Adds up the schedules of a run, which keeps none of them. */
export class Sums {
  readonly #sums: Summary = {
    schedules: 0,
    steps: 0,
    crashes: 0,
    simulatedHours: 0,
    anomalies: 0,
    lost: 0,
    doubled: 0,
    reordered: 0,
    deadLetters: 0,
    windows: 0,
    stuck: 0,
    falseGreens: 0,
    endless: 0,
  };

  add({ findings, steps, crashes, simulatedMs }: ScheduleResult): void {
    const sums = this.#sums;
    sums.schedules += 1;
    sums.steps += steps;
    sums.crashes += crashes;
    sums.simulatedHours += simulatedMs / 3_600_000;
    if (findings.length > 0) sums.anomalies += 1;
    for (const { kind } of findings) sums[fields[kind]] += 1;
  }

  /** The last line of the output. */
  get summary(): Summary {
    return { ...this.#sums, simulatedHours: Number(this.#sums.simulatedHours.toFixed(1)) };
  }
}

const shown = 5;

/** What a schedule has found, in lines for people. */
export function describeFindings({ seed, findings }: ScheduleResult): string[] {
  return [
    `seed ${seed}:`,
    ...findings.slice(0, shown).map(({ kind, what }) => `  ${kind}: ${what}`),
    ...(findings.length > shown ? [`  and ${findings.length - shown} more`] : []),
    `  again: npm run schedules -- --schedules 1 --seed ${seed}`,
  ];
}
