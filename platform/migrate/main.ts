// Migrates databases, or waits until they are migrated: what runs in a cluster before a service does.
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';

import { PlatformError } from '#platform/errors';
import { isWrongPassword } from '#platform/postgres';
import { MigrationError, migrate } from './migrate.ts';
import { pendingMigrations } from './pending.ts';
import { lookEveryMs, untilReachable } from './reach.ts';

const USAGE = `Usage: node platform/migrate/main.ts [--wait] <schema folder>=<variable> ...

Applies the platform's migrations and those of each schema folder to the database whose URL is in the environment variable, such as
prisma/orders=DATABASE_URL. With --wait nothing is applied: it ends when somebody else has applied them all.`;

type Target = ReturnType<typeof targetOf>;

/** @throws Error that says which argument, or which variable, is not usable */
function targetOf(argument: string) {
  const [, schemaFolder, variable] = /^([^=]+)=([A-Z][A-Z0-9_]*)$/.exec(argument) ?? [];
  if (schemaFolder === undefined || variable === undefined)
    throw new PlatformError('ERR_MIGRATION_ARGUMENT', `'${argument}' is no <folder>=<variable>.`);
  const url = process.env[variable];
  if (!url) throw new PlatformError('ERR_MIGRATION_ARGUMENT', `The variable ${variable} is not set.`);
  return { url, schemaFolder, database: basename(schemaFolder) };
}

/**
 * Says why it waits when that changes.
 * @throws where PostgreSQL refuses the password: it may be another one by now, which a process gets when it is started again
 */
async function waitFor({ url, database, schemaFolder }: Target): Promise<void> {
  for (let said: string | undefined; ; await delay(lookEveryMs)) {
    const reason = await pendingMigrations(url, schemaFolder).then(
      (pending) => pending.length > 0 && `waiting for ${pending.join(', ')}`,
      (error: Error) => {
        if (isWrongPassword(error)) throw error;
        return `waiting for the database (${error.message})`;
      },
    );
    if (reason === false) return console.log(`database ${database}: every migration is applied`);
    if (reason !== said) console.log(`database ${database}: ${(said = reason)}`);
  }
}

/** @returns the exit code */
async function main(): Promise<number> {
  let targets: Target[];
  let wait: boolean;
  try {
    const { values, positionals } = parseArgs({ options: { wait: { type: 'boolean' } }, allowPositionals: true });
    if (positionals.length === 0) throw new PlatformError('ERR_MIGRATION_ARGUMENT', 'No schema folder is given.');
    targets = positionals.map(targetOf);
    wait = values.wait === true;
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  try {
    if (wait) {
      for (const target of targets) await waitFor(target); // one that throws leaves no other behind
      return 0;
    }
    await Promise.all(
      targets.map(({ url, schemaFolder, database }) =>
        untilReachable(
          () => pendingMigrations(url, schemaFolder),
          (reason) => console.log(`database ${database}: waiting for the database (${reason})`),
          { now: Date.now, sleep: delay },
        ),
      ),
    );
    for (const { database, migrations } of await migrate(targets))
      console.log(`database ${database}: ${migrations.length > 0 ? `applied ${migrations.join(', ')}` : 'up to date'}`);
    return 0;
  } catch (error) {
    console.error(error instanceof MigrationError ? error.message : error);
    return 1;
  }
}

process.exitCode = await main();
