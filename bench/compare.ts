// Compares a commit with the working tree by one of the benches. The runs alternate, because the speed of a shared machine
// changes by half within hours: only the ratio of two consecutive runs is meaningful.
import { fileURLToPath } from 'node:url';

import { describeError, Fault } from '#local/fault.ts';
import { listenForStop } from '#local/signals.ts';

import { measurePairs } from './compare/measure.ts';
import { parseOptions } from './compare/options.ts';
import { formatComparison } from './compare/pairs.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const requests = listenForStop();
const stopped = new AbortController();
void requests.first.then((reason) => stopped.abort(new Fault(`Stopped (${reason}).`)));
try {
  const options = parseOptions(process.argv.slice(2));
  const { pairs, error } = await measurePairs(root, options, { say: console.log, signal: stopped.signal });
  if (pairs.length > 0) console.log(`\n${formatComparison(pairs)}`);
  if (error !== undefined) throw error;
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
} finally {
  requests.release();
}
