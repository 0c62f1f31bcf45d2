// `npm run offsets`: runs platform/inbox/main.ts with the databases and the Kafka of the running `npm start`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { eventServices } from '#platform/declarations';

import { describeError } from './fault.ts';
import { portsWith } from './plan.ts';
import { databaseUrl } from './databases.ts';
import { superuserUrl } from './postgres.ts';

const root = join(import.meta.dirname, '..');

try {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { data: { type: 'string' }, 'port-offset': { type: 'string' } },
  });
  const ports = portsWith(Number(values['port-offset'] ?? 0));
  const superuser = superuserUrl(values.data ?? join(root, '.millrace/data'), ports.postgres);
  const databases = eventServices().flatMap(({ spec }) => spec.databases ?? []);
  const urls = databases.map(({ name }) => [
    `${name.toUpperCase().replaceAll('-', '_')}_DATABASE_URL`,
    databaseUrl(superuser, name),
  ]);
  const program = join(root, 'platform/inbox/main.ts');
  const child = spawn(process.execPath, ['--no-warnings', program, ...positionals], {
    stdio: 'inherit',
    env: { KAFKA_BROKERS: `127.0.0.1:${ports.kafka}`, ...process.env, ...Object.fromEntries(urls) },
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  process.exitCode = code ?? 1;
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
