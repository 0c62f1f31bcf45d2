import { parseArgs } from 'node:util';

import { Fault } from '#local/fault.ts';
import { faultKinds, type FaultKind } from './plan.ts';

/** The options of `npm run chaos`. */
export interface ChaosOptions {
  seeds: number;
  minutes: number;
  /** The first seed; the others follow it. */
  seed: number;
  /** Keeps the data and the logs. */
  keep: boolean;
  kinds: readonly FaultKind[];
}

const usage = `Usage: npm run chaos -- [options]

  --seeds <n>     how many seeds to run, one after the other (default 1)
  --minutes <n>   how long each is under load (default 5)
  --seed <n>      the first seed (default: drawn); the same seed and minutes draw the same faults
  --faults <a,b>  draw only these: ${faultKinds.join(', ')}
  --keep          keep the data and the logs`;

/** Reads the command line; `drawn` is the seed if it names none. @throws Fault */
export function parseChaosOptions(args: string[], drawn: number): ChaosOptions {
  const { values } = parse(args);
  const whole = (name: string, text: string | undefined, fallback: number, least: number): number => {
    const value = text === undefined ? fallback : Number(text);
    if (!Number.isInteger(value) || value < least) throw new Fault(`--${name} is ${text}.`, { hint: usage });
    return value;
  };
  const kinds = values.faults?.split(',') ?? faultKinds;
  const unknown = kinds.find((kind) => !(faultKinds as string[]).includes(kind));
  if (unknown !== undefined) throw new Fault(`--faults has "${unknown}", which is no fault.`, { hint: usage });
  return {
    seeds: whole('seeds', values.seeds, 1, 1),
    minutes: whole('minutes', values.minutes, 5, 1),
    seed: whole('seed', values.seed, drawn, 0),
    keep: values.keep ?? false,
    kinds: kinds as FaultKind[],
  };
}

function parse(args: string[]) {
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
export function commandFor(seed: number, { minutes, kinds }: Pick<ChaosOptions, 'minutes' | 'kinds'>): string {
  const only = kinds.length === faultKinds.length ? '' : ` --faults ${kinds.join(',')}`;
  return `npm run chaos -- --seed ${seed} --minutes ${minutes}${only}`;
}
