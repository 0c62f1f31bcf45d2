// npm run mutants [-- [--schedules] NAME...]: puts known bugs back, one at a time, and sees that a test, or a schedule, finds each.

import { join } from 'node:path';

import { Fault } from '#local/fault.ts';
import { generateClients } from '#local/generate.ts';
import type { StopRequests } from '#local/signals.ts';
import { forgetKilledRuns, startOwnServers } from '#test/server-run.ts';
import { runProgram } from '#test/program.ts';

import { mutants } from './list.ts';
import { faultsOf } from './mutant.ts';
import type { Mutant } from './mutant.ts';
import { faultOfRun, runTest } from './named-test.ts';
import type { Outcome } from './named-test.ts';
import { isFound, isMissed, runSchedules, seeds } from './schedules.ts';
import type { Played } from './schedules.ts';
import { Scratch } from './scratch.ts';

const root = join(import.meta.dirname, '../..');
/** how much of the output of a test is shown that does not do what is expected */
const shownLines = 60;

/** The mutants of these names, or all. */
function chosen(names: readonly string[]): readonly Mutant[] {
  const unknown = names.filter((name) => !mutants.some((mutant) => mutant.name === name));
  if (unknown.length > 0)
    throw new Fault(`There is no mutant ${unknown.join(', ')}.`, { hint: mutants.map(({ name }) => name).join('\n') });
  return names.length === 0 ? mutants : mutants.filter(({ name }) => names.includes(name));
}

const seconds = (outcome: Outcome) => `${outcome.seconds.toFixed(1)} s`;

/** Runs the tests of mutants, each without its bug and with it. */
class Run {
  readonly #scratch: Scratch;
  readonly #env: Record<string, string>;
  readonly #signal: AbortSignal;
  /** the tests without a bug, by file and name: several mutants can have the same one */
  readonly #without = new Map<string, Outcome>();

  constructor(scratch: Scratch, env: Record<string, string>, signal: AbortSignal) {
    this.#scratch = scratch;
    this.#env = env;
    this.#signal = signal;
  }

  /** @returns how long the test took to find it; undefined if it did not */
  async find(mutant: Mutant): Promise<number | undefined> {
    const { name, testFile, test } = mutant;
    const say = (text: string) => console.log(`${name}: ${text}`);
    const [fault] = faultsOf(this.#scratch.folder, mutant);
    if (fault !== undefined) {
      say(`NOT FOUND: ${fault}`);
      return undefined;
    }
    const run = () => runTest(this.#scratch.folder, mutant, this.#env, { signal: this.#signal });
    const isNotFound = (which: 'without' | 'with', outcome: Outcome) => {
      const reason = faultOfRun(which, outcome.verdict);
      if (reason === undefined) return false;
      say(`NOT FOUND: ${reason} (${testFile}, "${test}")`);
      if (outcome.verdict !== 'passed') this.#show(outcome);
      return true;
    };
    const without = this.#without.get(`${testFile} ${test}`) ?? (await run());
    this.#without.set(`${testFile} ${test}`, without);
    if (this.#signal.aborted || isNotFound('without', without)) return undefined;
    const outcome = await this.#scratch.with(mutant, run);
    if (this.#signal.aborted || isNotFound('with', outcome)) return undefined;
    say(`found after ${seconds(outcome)} by ${testFile}, "${test}"`);
    return outcome.seconds;
  }

  #show({ output }: Outcome): void {
    console.error(output.split('\n').slice(-shownLines).join('\n'));
  }
}

/** Puts the bugs back and plays schedules. @returns the exit code */
async function findBySchedules(
  wanted: readonly Mutant[],
  scratch: Scratch,
  env: Record<string, string>,
  signal: AbortSignal,
): Promise<number> {
  const run = () => runSchedules(scratch.folder, env, signal);
  const without = await run();
  if (without.summary?.anomalies !== 0) {
    console.error(`the schedules find something without a bug, or do not run:\n${without.output}`);
    return 1;
  }
  const own = wanted.filter(({ schedules }) => schedules !== undefined);
  const all: Played[] = [];
  for (const mutant of own) {
    if (signal.aborted) break;
    const { summary, output } = await scratch.with(mutant, run);
    const played = { mutant, summary };
    all.push(played);
    const says = isFound(played)
      ? `found by schedule ${summary!.schedules}: ${/^  (.*)$/m.exec(output)?.[1]}`
      : `${isMissed(played) ? 'NOT FOUND' : 'not found'} by ${summary?.schedules ?? 'any'} schedules`;
    console.log(`${mutant.name}: ${says}${typeof mutant.schedules === 'string' ? ` (${mutant.schedules})` : ''}`);
    if (!summary) console.error(output);
  }
  const expected = own.filter(({ schedules }) => schedules === true).length;
  const found = all.filter(isFound);
  const mostSchedules = Math.max(0, ...found.map(({ summary }) => summary!.schedules));
  console.log(JSON.stringify({ mutants: own.length, expected, found: found.length, seeds, mostSchedules }));
  return all.length < own.length || all.some(isMissed) ? 1 : 0;
}

async function main(args: string[], requests: StopRequests): Promise<number> {
  const bySchedules = args.includes('--schedules');
  const wanted = chosen(args.filter((arg) => arg !== '--schedules'));
  await generateClients();
  await forgetKilledRuns();
  const cancelled = new AbortController();
  void requests.first.then(() => cancelled.abort());
  const servers = await startOwnServers(requests);
  const scratch = new Scratch(root);
  try {
    if (bySchedules) return await findBySchedules(wanted, scratch, servers.env, cancelled.signal);
    const run = new Run(scratch, servers.env, cancelled.signal);
    const times: number[] = [];
    for (const mutant of wanted) {
      if (cancelled.signal.aborted) break;
      const time = await run.find(mutant);
      if (time !== undefined) times.push(time);
    }
    const slowestSeconds = Number(Math.max(0, ...times).toFixed(1));
    console.log(JSON.stringify({ mutants: wanted.length, found: times.length, slowestSeconds }));
    return times.length === wanted.length ? 0 : 1;
  } finally {
    scratch.remove();
    await servers.stop();
  }
}

await runProgram(main);
