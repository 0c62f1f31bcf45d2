// Runs docs/disaster.md: causes each disaster on a platform of its own, does what the runbook says, and compares what is left.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { Fault } from '#local/fault.ts';
import { generateClients } from '#local/generate.ts';
import { runStoppable } from '#test/program.ts';
import { repeatedMails } from '../chaos/consumers.ts';
import { ChaosSystem } from '../chaos/system.ts';
import { cases } from './cases.ts';
import { Stand } from './stand.ts';

const usage = `Usage: npm run disaster -- [--keep] [CASE]...

  --keep   keep the data and the logs of each case

Cases: ${Object.keys(cases).join(', ')}`;

const shownFindings = 20;
const restSeconds = 6;

interface Result {
  case: string;
  requests: number;
  findings: number;
  repeatedMails: number;
}

async function runCase(name: string, keep: boolean, signal: AbortSignal): Promise<Result> {
  const data = mkdtempSync(join(tmpdir(), 'millrace-disaster-'));
  chmodSync(data, 0o755); // PostgreSQL may run as a user of its own
  const system = new ChaosSystem(data, 'refuse');
  const kill = () => system.kill();
  process.prependOnceListener('exit', kill);
  let stand: Stand | undefined;
  try {
    console.log(`${name}${keep ? ` on ${data}` : ''}`);
    await system.start();
    stand = new Stand(system, 7, (line) => console.log(line), signal);
    await stand.load(restSeconds);
    await stand.quiet();
    await cases[name]!(stand);
    await stand.quiet();
    await stand.load(restSeconds);
    const { findings, hops } = await stand.findings();
    for (const { kind, hop, what } of findings.slice(0, shownFindings)) console.log(`    ${kind} at ${hop}: ${what}`);
    const requests = stand.ledger.count('done');
    return { case: name, requests, findings: findings.length, repeatedMails: repeatedMails(hops) };
  } finally {
    await stand?.stop();
    await system.stop();
    process.off('exit', kill);
    if (!keep) rmSync(data, { recursive: true, force: true });
  }
}

async function main(args: string[], signal: AbortSignal): Promise<boolean> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { keep: { type: 'boolean', default: false } },
  });
  const unknown = positionals.find((name) => !Object.hasOwn(cases, name));
  if (unknown !== undefined) throw new Fault(`"${unknown}" is no case.`, { hint: usage });
  await generateClients();
  const results: Result[] = [];
  for (const name of positionals.length > 0 ? positionals : Object.keys(cases)) {
    signal.throwIfAborted();
    results.push(await runCase(name, values.keep, signal));
    console.log(`  ${JSON.stringify(results.at(-1))}`);
  }
  console.log(
    JSON.stringify({ cases: results.length, findings: results.reduce((sum, { findings }) => sum + findings, 0) }),
  );
  return results.every(({ findings }) => findings === 0);
}

await runStoppable(main);
