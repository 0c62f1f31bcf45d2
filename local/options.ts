import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { messageOf } from '#platform/errors';
import { Fault } from './fault.ts';
import { INSPECT_PORT, PORTS } from './plan.ts';

/** The options of `npm start`. */
export interface Options {
  demo: boolean;
  /** Orders per second of the demo. */
  rate: number;
  fresh: boolean;
  /** Added to every port. */
  portOffset: number;
  /** Absolute path of the folder for data and logs. */
  data: string;
  /** The one service to run, in place of that of the platform that runs on the data. */
  only: string | undefined;
  /** The service to open to debuggers. */
  inspect: string | undefined;
  help: boolean;
}

/** Options that do not go with `--only`: the running platform has them. */
const NOT_WITH_ONLY = ['demo', 'rate', 'fresh', 'port-offset'] as const;

export const USAGE = `Usage: npm start -- [options]

  --demo               send realistic traffic: users arrive, order, make mistakes
  --rate <n>           orders per second of the demo (default 5)
  --fresh              delete the data of earlier runs
  --port-offset <n>    add n to every port, to run beside another Millrace
  --data <folder>      the folder for data and logs (default .millrace/data)
  --inspect <service>  open a service to debuggers, on port ${INSPECT_PORT} or the next free one
  --only <service>     run one service here, in place of that of the npm start that runs on the data folder;
                       when this ends, however it ends, that one runs its own again
  --help               show this

A service is reloaded when its sources change.

Environment: KAFKA_BROKERS uses a Kafka of your own; OTEL_EXPORTER_OTLP_ENDPOINT sends traces to a collector;
LOG_LEVEL sets how much the services log; KAFKA_COMPRESSION (gzip, snappy, lz4, zstd) compresses the events that they send.`;

const HIGHEST_PORT = Math.max(...Object.values(PORTS));

const OPTIONS = {
  demo: { type: 'boolean' },
  rate: { type: 'string' },
  fresh: { type: 'boolean' },
  'port-offset': { type: 'string' },
  data: { type: 'string' },
  only: { type: 'string' },
  inspect: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

/**
 * Reads the command line.
 * @param root the clone, which relative defaults are below
 * @param services the names of the services
 * @param env npm keeps options before `--` for itself, and puts them here
 * @throws Fault with a sentence for each mistake
 */
export function parseOptions(
  args: string[],
  root: string,
  services: readonly string[],
  env: NodeJS.ProcessEnv,
): Options {
  const { values } = parse(args);
  const missed = Object.keys(OPTIONS).filter((name) => env[`npm_config_${name.replaceAll('-', '_')}`] !== undefined);
  if (missed.length > 0)
    throw fault(`npm keeps --${missed.join(' and --')} for itself: write npm start -- --${missed[0]}.`);
  const rate = numberOf('--rate', values.rate, 5);
  const portOffset = numberOf('--port-offset', values['port-offset'], 0);
  if (!(rate > 0 && rate <= 1000)) throw fault(`--rate is ${values.rate}, and has to be above 0 and at most 1000.`);
  if (!Number.isInteger(portOffset) || portOffset < 0 || portOffset > 65_535 - HIGHEST_PORT)
    throw fault(
      `--port-offset is ${values['port-offset']}, and has to be a whole number from 0 to ${65_535 - HIGHEST_PORT}.`,
    );
  if (portOffset === 2000) throw fault('--port-offset 2000 puts the gateway on port 10080, which browsers refuse.');
  const { only, inspect } = values;
  for (const [name, service] of Object.entries({ only, inspect }))
    if (service !== undefined && !services.includes(service))
      throw fault(`--${name} is "${service}", which is none of ${services.join(', ')}.`);
  if (only !== undefined) {
    const other = NOT_WITH_ONLY.find((name) => values[name] !== undefined);
    if (other) throw fault(`--${other} does not go with --only: it is for the npm start that runs the rest.`);
    if (inspect !== undefined && inspect !== only) throw fault(`--only ${only} does not run ${inspect}.`);
  }
  return {
    demo: values.demo ?? false,
    rate,
    fresh: values.fresh ?? false,
    portOffset,
    data: resolve(values.data ?? `${root}/.millrace/data`),
    only,
    inspect,
    help: values.help ?? false,
  };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      strict: true,
      allowPositionals: false,
      options: OPTIONS,
    });
  } catch (error) {
    const message = messageOf(error);
    // Node adds advice on positional arguments that does not fit here.
    throw fault(`${message.split('. ')[0]?.replace(/\.$/, '')}.`);
  }
}

function numberOf(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw fault(`${name} is "${text}", which is not a number.`);
  return value;
}

function fault(message: string): Fault {
  return new Fault(message, { hint: 'npm start -- --help shows the options.' });
}
