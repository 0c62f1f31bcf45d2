import { parseArgs } from 'node:util';

import { Fault } from '#local/fault.ts';

/** The options of `npm run schedules`. */
export interface ScheduleOptions {
  /** the first seed; the others follow it */
  seed: number;
  /** after this time no schedule begins */
  minutes: number;
  /** the most schedules */
  schedules: number;
  /** ends with the first anomaly */
  stop: boolean;
}

const usage = `Usage: npm run schedules -- [options]

  --minutes <n>    for how long (default 10, or as long as --schedules take)
  --schedules <n>  how many schedules at most (default: as many as there is time for)
  --seed <n>       the first seed (default: drawn); with one schedule its steps are printed
  --stop           end with the first anomaly`;

/** Reads the command line; `drawn` is the seed if it names none. @throws Fault */
export function parseScheduleOptions(args: string[], drawn: number): ScheduleOptions {
  const { seed, minutes, schedules, stop } = parse(args);
  const number = (name: string, text: string | undefined, fallback: number, isWhole: boolean): number => {
    const value = text === undefined ? fallback : Number(text);
    const isGood = isWhole ? Number.isSafeInteger(value) && value >= 0 : value > 0;
    if (!isGood && value !== fallback) throw new Fault(`--${name} is ${text}.`, { hint: usage });
    return value;
  };
  return {
    seed: number('seed', seed, drawn, true),
    minutes: number('minutes', minutes, schedules === undefined ? 10 : Number.POSITIVE_INFINITY, false),
    schedules: number('schedules', schedules, Number.POSITIVE_INFINITY, true),
    stop: stop ?? false,
  };
}

function parse(args: string[]) {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({ args, options: { seed: text, minutes: text, schedules: text, stop: { type: 'boolean' } } })
      .values;
  } catch (error) {
    throw new Fault((error as Error).message, { hint: usage });
  }
}
