import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Fault } from '#local/fault.ts';

import { checkOut } from './checkout.ts';
import { readResult, type Result } from './figures.ts';
import type { Options } from './options.ts';
import { runOrder, type Pair, type Side } from './pairs.ts';
import { runScript } from './script.ts';

/** What was measured until it was done, or ended by an error. */
export interface Measured {
  /** complete pairs only */
  pairs: Pair[];
  error?: unknown;
}

/**
 * Measures a commit and the working tree of `root` in turn, after a short run of each: that one makes Prisma clients,
 * finds Kafka's jars and fills Node's compile cache.
 * @param say is told of each run
 * @throws where the commit cannot be checked out
 */
export async function measurePairs(
  root: string,
  { commit, script, bench, args, pairs: count }: Options,
  { say, signal }: { say: (line: string) => void; signal: AbortSignal },
): Promise<Measured> {
  const folder = join(root, '.millrace/compare');
  const checkout = await checkOut(root, folder, commit, script);
  // benches put their data there, and one that is stopped leaves it
  const temporary = mkdtempSync(join(tmpdir(), 'millrace-compare-'));
  chmodSync(temporary, 0o755); // PostgreSQL may run as a user of its own
  const sides: Record<Side, { folder: string; title: string }> = {
    old: checkout,
    new: { folder: root, title: 'the working tree' },
  };
  say(`old: ${sides.old.title}\nnew: ${sides.new.title}`);

  async function run(side: Side, what: string, ...command: string[]): Promise<Result | undefined> {
    const began = performance.now();
    const { code, output } = await runScript(sides[side].folder, command, {
      log: join(folder, 'output.log'),
      env: { TMPDIR: temporary },
      signal,
    });
    const result = readResult(output, bench.figure, code);
    const failed = command[0] === script ? result === undefined : code !== 0;
    if (failed)
      throw new Fault(
        `"npm run ${command.join(' ')}" failed for ${side}, ${sides[side].title}, with exit code ${code}:\n${output.trim()}`,
      );
    const seconds = ((performance.now() - began) / 1000).toFixed(0);
    const figure = result === undefined ? '' : `, ${bench.figure} ${result.figures.get(bench.figure)}`;
    say(`${what}, ${side}: ${seconds} s${figure}`);
    return result;
  }

  const pairs: Pair[] = [];
  try {
    for (const side of ['old', 'new'] as const) {
      await run(side, 'packages and Prisma clients', 'generate');
      await run(side, 'short run', script, '--', ...bench.args.map(({ short }) => short));
    }
    for (const [i, order] of runOrder(count).entries()) {
      const pair: Partial<Pair> = {};
      for (const side of order) pair[side] = (await run(side, `pair ${i + 1} of ${count}`, script, '--', ...args))!;
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
