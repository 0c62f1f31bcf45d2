// `npm run offsets`, `republish`, `partitions`, `recover` and `resend`: run the operator's commands of the platform with the databases and
// the Kafka of the running `npm start`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { eventServices } from '#platform/declarations';

import { databaseUrl } from './databases.ts';
import { describeError, Fault } from './fault.ts';
import { portsWith } from './plan.ts';
import { superuserUrl } from './postgres.ts';

const root = join(import.meta.dirname, '..');

/** The programs of the commands, with their first argument. Those of a service itself are about what only it knows. */
const PROGRAMS: Record<string, (service: string) => string[]> = {
  offsets: () => ['platform/inbox/main.ts'],
  republish: () => ['platform/outbox/main.ts', 'republish'],
  partitions: () => ['platform/outbox/main.ts', 'partitions'],
  recover: (service) => [`services/${service}/recover.ts`],
  resend: (service) => [`services/${service}/resend.ts`],
};

/** The options of `npm start` that say which run is meant; the others are for the program. */
const RUN_OPTIONS = { data: { type: 'string' }, 'port-offset': { type: 'string' } } as const;

async function main([command = '', ...args]: string[]): Promise<number> {
  const { values, tokens } = parseArgs({ args, strict: false, tokens: true, options: RUN_OPTIONS });
  const ports = portsWith(Number(values['port-offset'] ?? 0));
  const superuser = superuserUrl(String(values.data ?? join(root, '.millrace/data')), ports.postgres);
  const own = new Set(
    tokens.flatMap((token) =>
      token.kind === 'option' && Object.hasOwn(RUN_OPTIONS, token.name)
        ? [token.index, ...(token.inlineValue ? [] : [token.index + 1])]
        : [],
    ),
  );
  const others = args.filter((_, i) => !own.has(i));
  // the outbox is that of one service, named first
  const service = command === 'offsets' ? '' : serviceOf(others.shift(), command);
  const env = service
    ? { DATABASE_URL: databaseUrl(superuser, service) }
    : Object.fromEntries(databases().map((name) => [`${name}_DATABASE_URL`, databaseUrl(superuser, name)]));
  const [file, ...first] = PROGRAMS[command]!(service);
  if (!existsSync(join(root, file!))) throw new Fault(`${service} has no command ${command}.`);
  const child = spawn(process.execPath, ['--no-warnings', join(root, file!), ...first, ...others], {
    stdio: 'inherit',
    env: { KAFKA_BROKERS: `127.0.0.1:${ports.kafka}`, ...process.env, ...env },
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}

const databases = () => eventServices().flatMap(({ spec }) => (spec.databases ?? []).map(({ name }) => name));

/** A service with an outbox, which is in the database of its name. */
function serviceOf(service: string | undefined, command: string): string {
  if (service !== undefined && databases().includes(service)) return service;
  throw new Fault(`"${service}" is not a service with a database.`, { hint: `npm run ${command} -- orders ...` });
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
