import { parseArgs } from 'node:util';

import { Fault } from '#local/fault.ts';

/** The description of a bench for the comparison. */
export interface Bench {
  /** a figure of the last line in every version; it distinguishes that line from other JSON */
  figure: string;
  /** its arguments, and those of a short run */
  args: { name: string; short: string }[];
}

const BENCHES: Record<string, Bench> = {
  orders: {
    figure: 'ordersPerSecond',
    args: [
      { name: 'SECONDS', short: '1' },
      { name: 'CONNECTIONS', short: '4' },
    ],
  },
  flow: {
    figure: 'readModelMedianMs',
    args: [
      { name: 'RATE', short: '5' },
      { name: 'SECONDS', short: '1' },
    ],
  },
  start: { figure: 'secondsFresh', args: [] },
  streams: {
    figure: 'eventsPerSecond',
    args: [
      { name: 'EVENTS', short: '10000' },
      { name: 'WORKERS,...', short: '1' },
    ],
  },
};

/** The options of `npm run bench:compare`. */
export interface Options {
  /** a hash, a tag, or another name of a commit for git */
  commit: string;
  /** such as `bench:orders` */
  script: string;
  bench: Bench;
  /** of the bench */
  args: string[];
  pairs: number;
}

const USAGE = `Usage: npm run bench:compare -- COMMIT BENCH [ARGUMENTS OF THE BENCH] [--pairs N]
Benches: ${Object.entries(BENCHES)
  .map(([name, { args }]) => [name, ...args.map((arg) => `[${arg.name}]`)].join(' '))
  .join('; ')}`;

/**
 * Reads the command line.
 * @throws Fault with a sentence for each mistake
 */
export function parseOptions(given: string[]): Options {
  const { positionals, values } = parse(given);
  const [commit, name, ...args] = positionals;
  if (commit === undefined || name === undefined) throw fault('Name a commit and a bench.');
  const bench = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined;
  if (bench === undefined) throw fault(`"${name}" is none of ${Object.keys(BENCHES).join(', ')}.`);
  if (args.length > bench.args.length)
    throw fault(`bench:${name} takes ${bench.args.length || 'no'} arguments, not ${args.length}.`);
  for (const arg of args)
    if (!/^[1-9]\d*(,[1-9]\d*)*$/.test(arg)) throw fault(`"${arg}" is not a whole number of 1 or more.`);
  if (!/^[1-9]\d*$/.test(values.pairs))
    throw fault(`--pairs is "${values.pairs}", and has to be a whole number of 1 or more.`);
  return { commit, script: `bench:${name}`, bench, args, pairs: Number(values.pairs) };
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, allowPositionals: true, options: { pairs: { type: 'string', default: '5' } } });
  } catch (error) {
    const [sentence] = (error as Error).message.split('. '); // Node adds advice that does not fit here
    throw fault(`${sentence?.replace(/\.$/, '')}.`);
  }
}

function fault(message: string): Fault {
  return new Fault(message, { hint: USAGE });
}
