import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Fault } from '#local/fault.ts';

import { checkOut } from './checkout.ts';
import { readResult, type Result } from './figures.ts';
import type { Options } from './options.ts';
import { runOrder, type Pair, type Side } from './pairs.ts';
import { runScript, type Ended } from './script.ts';

/** The results until the end, or until an error. */
export interface Measured {
  /** complete pairs only */
  pairs: Pair[];
  error?: unknown;
}

/**
 * Measures a commit and the working tree of `root` in turn. Before, a short run of each finds Kafka's jars and fills
 * Node's compile cache.
 * @param say is called for each run
 * @throws if the commit cannot be checked out
 */
export async function measurePairs(
  root: string,
  { commit, script, bench, args, pairs: count }: Options,
  { say, signal }: { say: (line: string) => void; signal: AbortSignal },
): Promise<Measured> {
  const folder = join(root, '.millrace/compare');
  const checkout = await checkOut(root, folder, commit, script);
  // benches put their data there, and a stopped bench leaves it
  const temporary = mkdtempSync(join(tmpdir(), 'millrace-compare-'));
  chmodSync(temporary, 0o755); // PostgreSQL may run as a user of its own
  const sides: Record<Side, { folder: string; title: string }> = {
    old: checkout,
    new: { folder: root, title: 'the working tree' },
  };
  say(`old: ${sides.old.title}\nnew: ${sides.new.title}`);

  const run = async (side: Side, name: string, scriptArgs: string[]) =>
    await runScript(sides[side].folder, name, scriptArgs, {
      log: join(folder, 'output.log'),
      env: { TMPDIR: temporary },
      signal,
    });
  const failure = (side: Side, name: string, { code, output }: Ended): Fault =>
    new Fault(`${name} failed for ${side}, ${sides[side].title}, with exit code ${code}:\n${output.trim()}`);

  async function prepare(side: Side): Promise<void> {
    const ended = await run(side, 'generate', []);
    if (ended.code !== 0) throw failure(side, 'generate', ended);
    await measure(
      side,
      'short run',
      bench.args.map(({ short }) => short),
    );
  }

  async function measure(side: Side, what: string, benchArgs: string[]): Promise<Result> {
    const began = performance.now();
    const ended = await run(side, script, benchArgs);
    const result = readResult(ended.output, bench.figure, ended.code);
    if (result === undefined) throw failure(side, script, ended);
    const seconds = ((performance.now() - began) / 1000).toFixed(0);
    say(`${what}, ${side}: ${bench.figure} ${result.figures.get(bench.figure)} (took ${seconds} s)`);
    return result;
  }

  const pairs: Pair[] = [];
  try {
    await prepare('old');
    await prepare('new');
    for (const [i, order] of runOrder(count).entries()) {
      const pair: Partial<Pair> = {};
      for (const side of order) pair[side] = await measure(side, `pair ${i + 1} of ${count}`, args);
      pairs.push(pair as Pair);
    }
    return { pairs };
  } catch (error) {
    return { pairs, error };
  } finally {
    rmSync(temporary, { recursive: true, force: true });
    await checkout.remove();
  }
}
