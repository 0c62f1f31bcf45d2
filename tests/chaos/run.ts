import { setTimeout as sleep } from 'node:timers/promises';

import { check, unknownsOf } from './check.ts';
import { repeatedMails } from './consumers.ts';
import { insist, nothing, Skipped, type Undo } from './faults/fault.ts';
import { Ledger, type Outcome } from './ledger.ts';
import { observe } from './observe.ts';
import type { Observed } from './observed.ts';
import { describeFault, type Plan, type PlannedFault, type Step } from './plan.ts';
import { Probe } from './probe.ts';
import type { Recovery, SeedResult, StuckHop } from './report.ts';
import { Workload } from './workload.ts';

/** Everything has to have caught up this long after the load has ended. */
const quietMs = 60_000;
/** A step is over when the backlog is gone, at the latest after this time. */
const recoveryMs = 60_000;
/** The backlog is gone when no hop has more to do than two seconds of the load. */
const slack = 25;
const undoMs = 30_000;
const pollMs = 250;

/** Causes a fault. @returns how to end it, after its time @throws Skipped */
type Cause<K extends string> = (fault: PlannedFault<K>) => Promise<Undo>;

export interface RunOptions<K extends string> {
  system: Observed;
  plan: Plan<K>;
  cause: Cause<K>;
  /** Tells the names of this run from those of others on the same platform. */
  prefix?: string;
  say: (line: string) => void;
  signal: AbortSignal;
}

/** Runs a plan against a running platform under load, waits until everything has caught up, and compares the hops. */
export async function runPlan<K extends string>({
  system,
  plan,
  cause,
  prefix = '',
  say,
  signal,
}: RunOptions<K>): Promise<SeedResult> {
  const ledger = new Ledger();
  const probe = new Probe(system);
  const workload = new Workload(system.url('gateway'), { seed: plan.seed, prefix }, ledger, signal);
  const recoveries: Recovery[] = [];
  const failures: StuckHop[] = [];
  probe.start();
  workload.start();
  const began = performance.now();
  try {
    for (const step of plan.steps) {
      await sleep(Math.max(0, began + step.at * 1000 - performance.now()), undefined, { signal });
      say(`  ${((performance.now() - began) / 1000).toFixed(0)} s: ${step.faults.map(describeFault).join(' + ')}`);
      failures.push(...(await takeStep(step, cause, say, signal)));
      const { seconds, last } = await untilRecovered(probe, signal);
      recoveries.push({ faults: step.faults.map(describeFault).join(' + '), seconds, last });
      await sleep(Math.max(0, step.rest - seconds) * 1000, undefined, { signal });
    }
    await sleep(Math.max(0, began + plan.minutes * 60_000 - performance.now()), undefined, { signal });
    await workload.stop();
    const stuck = [...failures, ...(await untilQuiet(probe, system, signal))];
    const hops = await observe(system, probe);
    const { requests } = ledger;
    return {
      seed: plan.seed,
      findings: check(hops, requests, new Set(stuck.map(({ hop }) => hop))),
      stuck,
      falseGreens: probe.watch.falseGreens,
      unknown: unknownsOf(hops, requests),
      requests: byOutcome((outcome) => ledger.count(outcome)),
      attempts: byOutcome((outcome) => ledger.attempts(outcome)),
      repeatedMails: repeatedMails(hops),
      recoveries,
    };
  } finally {
    await workload.stop();
    await probe.stop();
  }
}

function byOutcome(count: (outcome: Outcome) => number): Record<Outcome, number> {
  return { done: count('done'), refused: count('refused'), unknown: count('unknown') };
}

/** Causes the faults of a step and ends each after its time. @returns those that could not be ended */
async function takeStep<K extends string>(
  { faults }: Step<K>,
  cause: Cause<K>,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<StuckHop[]> {
  const ended = await Promise.allSettled(
    faults.map(async (fault) => {
      const undo = await inject(fault, cause, say);
      await sleep(fault.seconds * 1000, undefined, { signal }).catch(() => undefined);
      await insist(undo, undoMs);
    }),
  );
  return ended.flatMap((one, i) => {
    if (one.status === 'fulfilled') return [];
    return [{ hop: `the end of ${describeFault(faults[i]!)}`, pending: 1, health: String(one.reason) }];
  });
}

async function inject<K extends string>(
  fault: PlannedFault<K>,
  cause: Cause<K>,
  say: (line: string) => void,
): Promise<Undo> {
  try {
    return await cause(fault);
  } catch (error) {
    // the other fault of a pair may have taken what this one needs
    const why = error instanceof Skipped ? 'skipped' : 'not caused';
    say(`    ${describeFault(fault)}: ${why}: ${(error as Error).message}`);
    return nothing;
  }
}

async function untilRecovered(probe: Probe, signal: AbortSignal): Promise<Pick<Recovery, 'seconds' | 'last'>> {
  const since = performance.now();
  let last = 'no hop';
  for (;;) {
    const seconds = (performance.now() - since) / 1000;
    const backlog = probe.backlogSince(since);
    const behind = backlog && [...backlog].filter(([, pending]) => pending > slack);
    if (behind?.length === 0 || seconds * 1000 > recoveryMs) return { seconds, last };
    last = behind?.map(([hop]) => hop).join(', ') ?? last;
    await sleep(pollMs, undefined, { signal });
  }
}

/** Waits until no hop has anything to do. @returns those that still have */
async function untilQuiet(probe: Probe, system: Observed, signal: AbortSignal): Promise<StuckHop[]> {
  const since = performance.now();
  for (;;) {
    const backlog = probe.backlogSince(since);
    if (backlog && [...backlog.values()].every((pending) => pending === 0)) return [];
    if (performance.now() - since > quietMs) {
      const services = new Map(probe.samples().map(({ hop, service }) => [hop, service]));
      const left = [...probe.backlog()].filter(([, pending]) => pending > 0);
      if (left.length === 0) return [{ hop: 'the probe', pending: 0, health: 'a database or a topic cannot be read' }];
      return left.map(([hop, pending]) => {
        const service = services.get(hop)!;
        const health = probe.health.get(service)?.slice(0, 400);
        return { hop, pending, health: `${system.isDown(service) ? 'no process; ' : ''}${health}` };
      });
    }
    await sleep(pollMs, undefined, { signal });
  }
}
