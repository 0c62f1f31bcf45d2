// `npm run offsets` and `npm run republish`: run the operator's commands of the platform with the databases and the Kafka of the
// running `npm start`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { eventServices } from '#platform/declarations';

import { databaseUrl } from './databases.ts';
import { describeError, Fault } from './fault.ts';
import { portsWith } from './plan.ts';
import { superuserUrl } from './postgres.ts';

const root = join(import.meta.dirname, '..');

/** The programs of the commands. */
const PROGRAMS: Record<string, string> = { offsets: 'platform/inbox/main.ts', republish: 'platform/outbox/main.ts' };

async function main([command = '', ...args]: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { data: { type: 'string' }, 'port-offset': { type: 'string' }, from: { type: 'string' } },
  });
  const ports = portsWith(Number(values['port-offset'] ?? 0));
  const superuser = superuserUrl(values.data ?? join(root, '.millrace/data'), ports.postgres);
  const [service, ...others] = positionals;
  const env =
    command === 'republish'
      ? { DATABASE_URL: databaseUrl(superuser, databaseOf(service)) }
      : Object.fromEntries(databases().map((name) => [`${name}_DATABASE_URL`, databaseUrl(superuser, name)]));
  const rest = command === 'republish' ? [...others, '--from', values.from ?? ''] : positionals;
  const child = spawn(process.execPath, ['--no-warnings', join(root, PROGRAMS[command]!), ...rest], {
    stdio: 'inherit',
    env: { KAFKA_BROKERS: `127.0.0.1:${ports.kafka}`, ...process.env, ...env },
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}

const databases = () => eventServices().flatMap(({ spec }) => (spec.databases ?? []).map(({ name }) => name));

/** The database of a service that has its outbox: the one of its name. */
function databaseOf(service = ''): string {
  if (databases().includes(service)) return service;
  throw new Fault(`"${service}" is not a service with a database.`, { hint: 'npm run republish -- orders --from 1' });
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
