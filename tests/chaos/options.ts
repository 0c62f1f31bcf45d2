import { parseArgs } from 'node:util';

import { Fault } from '#local/fault.ts';
import { faultKinds, type FaultKind } from './plan.ts';

/** A command, and the kinds of faults that it draws from. */
export interface ChaosCommand<K extends string> {
  name: string;
  kinds: readonly K[];
}

export const localCommand: ChaosCommand<FaultKind> = { name: 'npm run chaos', kinds: faultKinds };

/** The options of such a command. */
export interface ChaosOptions<K extends string> {
  seeds: number;
  minutes: number;
  /** The first seed; the others follow it. */
  seed: number;
  /** Keeps what the command has made. */
  keep: boolean;
  kinds: readonly K[];
}

const usageOf = ({ name, kinds }: ChaosCommand<string>) => `Usage: ${name} -- [options]

  --seeds <n>     how many seeds to run, one after the other (default 1)
  --minutes <n>   how long each is under load (default 5)
  --seed <n>      the first seed (default: drawn); the same seed and minutes draw the same faults
  --faults <a,b>  draw only these: ${kinds.join(', ')}
  --keep          keep what the command has made, such as data and logs`;

/** Reads the command line; `drawn` is the seed if it names none. @throws Fault */
export function parseChaosOptions<K extends string>(
  command: ChaosCommand<K>,
  args: string[],
  drawn: number,
): ChaosOptions<K> {
  const usage = usageOf(command);
  const { values } = parse(args, usage);
  const whole = (name: string, text: string | undefined, fallback: number, least: number): number => {
    const value = text === undefined ? fallback : Number(text);
    if (!Number.isInteger(value) || value < least) throw new Fault(`--${name} is ${text}.`, { hint: usage });
    return value;
  };
  const kinds = values.faults?.split(',') ?? command.kinds;
  const unknown = kinds.find((kind) => !(command.kinds as readonly string[]).includes(kind));
  if (unknown !== undefined) throw new Fault(`--faults has "${unknown}", which is no fault.`, { hint: usage });
  return {
    seeds: whole('seeds', values.seeds, 1, 1),
    minutes: whole('minutes', values.minutes, 5, 1),
    seed: whole('seed', values.seed, drawn, 0),
    keep: values.keep ?? false,
    kinds: kinds as readonly K[],
  };
}

function parse(args: string[], usage: string) {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args,
      options: { seeds: text, minutes: text, seed: text, faults: text, keep: { type: 'boolean' } },
    });
  } catch (error) {
    throw new Fault((error as Error).message, { hint: usage });
  }
}

/** The command that draws the same plan for one seed. */
export function commandFor<K extends string>(
  command: ChaosCommand<K>,
  seed: number,
  { minutes, kinds }: Pick<ChaosOptions<K>, 'minutes' | 'kinds'>,
): string {
  const only = kinds.length === command.kinds.length ? '' : ` --faults ${kinds.join(',')}`;
  return `${command.name} -- --seed ${seed} --minutes ${minutes}${only}`;
}
