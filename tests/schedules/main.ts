// npm run schedules: the outbox, the inbox and the stream engine in one process, with a simulated clock and faults between any two
// awaits, as a seed says: docs/reliability.md.
import type { StopRequests } from '#local/signals.ts';
import { forgetKilledRuns, startOwnPostgres } from '#test/server-run.ts';
import { runProgram } from '#test/program.ts';
import { machine } from './clock.ts';
import { parseScheduleOptions } from './options.ts';
import { describeFindings, Sums } from './report.ts';
import { Stand } from './stand.ts';

const reportEveryMs = 30_000;
/** a schedule has about a thousand steps, and takes about a second */
const limits = { steps: 20_000, stillMs: 60_000 };

async function main(args: string[], requests: StopRequests): Promise<number> {
  const { seed, minutes, schedules, stop } = parseScheduleOptions(args, Date.now() % 1_000_000);
  await forgetKilledRuns();
  const stopping = new AbortController();
  void requests.first.then(() => stopping.abort());
  // a run of mutants has one for all of its schedules
  const servers = process.env['MILLRACE_TEST_POSTGRES'] === undefined ? await startOwnPostgres() : undefined;
  Object.assign(process.env, servers?.env);
  const sums = new Sums();
  let stand: Stand | undefined;
  try {
    stand = await Stand.open(limits);
    const end = machine.now() + minutes * 60_000;
    let reportAt = machine.now() + reportEveryMs;
    for (let i = 0; i < schedules && machine.now() < end && !stopping.signal.aborted; i += 1) {
      const result = await stand.play(seed + i);
      sums.add(result);
      const isEndless = result.findings.some(({ kind }) => kind === 'endless');
      if (schedules === 1 || isEndless) console.log(result.trace.join('\n'));
      if (result.findings.length > 0) console.log(describeFindings(result).join('\n'));
      // what does not end would go on beside the next one
      if (isEndless || (result.findings.length > 0 && stop)) break;
      if (machine.now() < reportAt) continue;
      reportAt += reportEveryMs;
      console.log(JSON.stringify(sums.summary));
    }
  } finally {
    await stand?.close();
    await servers?.stop();
  }
  const { summary } = sums;
  console.log(JSON.stringify(summary));
  return summary.anomalies > 0 ? 1 : 0;
}

await runProgram(main);
