// Breaks the running platform at random, as a seed says, and compares what is left: docs/reliability.md.
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { generateClients } from '#local/generate.ts';
import { forgetKafka } from '#local/kafka.ts';
import { forgetPostgres } from '#local/postgres.ts';
import { runningPid, writePidFile } from '#local/process.ts';
import { runStoppable } from '#test/program.ts';
import { mountSmallDisk, unmountSmallDisk } from './faults/disk.ts';
import { injections } from './faults/index.ts';
import { thawAll } from './faults/processes.ts';
import { commandFor, localCommand, parseChaosOptions, type ChaosOptions } from './options.ts';
import { drawPlan, type FaultKind, type Plan } from './plan.ts';
import { describeResult, isSound, summarize, type SeedResult } from './report.ts';
import { runPlan } from './run.ts';
import { ChaosSystem } from './system.ts';

const prefix = 'millrace-chaos-';
const say = (line: string): void => console.log(line);

/** Stops the servers and removes the data of runs that were killed. */
async function forgetKilledRuns(): Promise<void> {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(prefix))) {
    const folder = join(tmpdir(), name);
    const owner = join(folder, 'owner.pid');
    if (existsSync(owner) && runningPid(owner) === undefined) await forget(folder);
  }
}

async function forget(folder: string): Promise<void> {
  await Promise.all([forgetPostgres({ folder }), forgetKafka({ folder })]);
  unmountSmallDisk(folder);
  rmSync(folder, { recursive: true, force: true });
}

async function runSeed(seed: number, options: ChaosOptions<FaultKind>, signal: AbortSignal): Promise<SeedResult> {
  const { minutes, keep, kinds } = options;
  const plan = drawPlan(seed, minutes, kinds);
  const data = mkdtempSync(join(tmpdir(), prefix));
  chmodSync(data, 0o755); // PostgreSQL may run as a user of its own
  const problem = needsSmallDisk(plan) ? mountSmallDisk(data) : undefined;
  if (problem !== undefined) say(`  the disk is not filled: ${problem}`);
  if (!keep) writePidFile(join(data, 'owner.pid'), process.pid);
  const system = new ChaosSystem(data);
  const kill = (): void => {
    thawAll();
    system.kill();
  };
  process.prependOnceListener('exit', kill);
  try {
    say(`seed ${seed}: starting the platform${keep ? ` on ${data}` : ''}`);
    await system.start();
    return await runPlan({ system, plan, cause: (fault) => injections[fault.kind](system, fault), say, signal });
  } finally {
    thawAll();
    await system.stop();
    process.off('exit', kill);
    if (!keep) await forget(data);
  }
}

function needsSmallDisk({ steps }: Plan): boolean {
  return steps.some(({ faults }) => faults.some(({ kind }) => kind === 'fill-disk'));
}

async function main(args: string[], signal: AbortSignal): Promise<boolean> {
  const options = parseChaosOptions(localCommand, args, Date.now() % 1_000_000);
  await forgetKilledRuns();
  await generateClients();
  const results: SeedResult[] = [];
  for (let i = 0; i < options.seeds && !signal.aborted; i++) {
    const result = await runSeed(options.seed + i, options, signal);
    results.push(result);
    for (const line of describeResult(result, commandFor(localCommand, result.seed, options))) say(line);
  }
  say(JSON.stringify(summarize(results)));
  return results.every(isSound);
}

await runStoppable(main);
