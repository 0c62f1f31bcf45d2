import type { Unknowns } from './check.ts';
import type { Finding } from './hops.ts';
import type { Outcome } from './ledger.ts';
import type { FalseGreen } from './watch.ts';

export interface StuckHop {
  hop: string;
  pending: number;
  /** What the health of its service says. */
  health: string;
}

/** What came of one seed. */
export interface SeedResult {
  seed: number;
  findings: Finding[];
  stuck: StuckHop[];
  falseGreens: FalseGreen[];
  unknown: Unknowns;
  /** How the requests ended for their clients, and how their attempts were answered. */
  requests: Record<Outcome, number>;
  attempts: Record<Outcome, number>;
  repeatedMails: number;
  recoveries: Recovery[];
}

/** How long a step took, from the end of its faults until the backlog was gone, and which hop was the last. */
export interface Recovery {
  faults: string;
  seconds: number;
  last: string;
}

export interface Summary {
  seeds: number;
  lost: number;
  doubled: number;
  reordered: number;
  falseGreens: number;
  stuck: number;
  unknown: number;
  recoverySeconds: { median: number; max: number };
}

/** The last line of the output. */
export function summarize(results: readonly SeedResult[]): Summary {
  const count = (kind: Finding['kind']): number =>
    results.flatMap(({ findings }) => findings).filter((finding) => finding.kind === kind).length;
  const seconds = results
    .flatMap(({ recoveries }) => recoveries.map((recovery) => Math.round(recovery.seconds * 10) / 10))
    .toSorted((a, b) => a - b);
  return {
    seeds: results.length,
    lost: count('lost'),
    doubled: count('doubled'),
    reordered: count('reordered'),
    falseGreens: results.flatMap(({ falseGreens }) => falseGreens).length,
    stuck: results.flatMap(({ stuck }) => stuck).length,
    unknown: results.reduce((sum, { unknown }) => sum + unknown.count, 0),
    recoverySeconds: { median: seconds[Math.floor((seconds.length - 1) / 2)] ?? 0, max: seconds.at(-1) ?? 0 },
  };
}

export function isSound({ findings, stuck, falseGreens }: SeedResult): boolean {
  return findings.length + stuck.length + falseGreens.length === 0;
}

const shown = 12;

/** A seed's result in lines for people. @param again the command that repeats it */
export function describeResult(result: SeedResult, again: string): string[] {
  const { seed, findings, stuck, falseGreens, unknown, requests, attempts, repeatedMails, recoveries } = result;
  const lines = [
    `seed ${seed}: ${requests.done} requests done, ${requests.refused} refused, ${requests.unknown} unknown ` +
      `(${unknown.exist} of them took effect); of the attempts ${attempts.refused} were refused and ` +
      `${attempts.unknown} unknown; ${repeatedMails} mails came again`,
    ...recoveries.map(
      ({ faults, seconds, last }) => `  ${faults}: recovered after ${seconds.toFixed(1)} s, ${last} last`,
    ),
    ...findings.slice(0, shown).map(({ kind, hop, what }) => `  ${kind} at ${hop}: ${what}`),
  ];
  if (findings.length > shown) lines.push(`  and ${findings.length - shown} more`);
  for (const { hop, pending, health } of stuck) lines.push(`  stuck: ${hop} has ${pending} to do; health: ${health}`);
  for (const { hop, service, seconds } of falseGreens)
    lines.push(`  false green: ${service} was UP for ${seconds} s while ${hop} stood still`);
  if (!isSound(result)) lines.push(`  again: ${again}`);
  return lines;
}
