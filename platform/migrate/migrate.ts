import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { CodedError } from '#platform/errors';

/** A database and the migrations that it is to have. */
export interface MigrationTarget {
  /** Connection string of the role that owns the database. */
  url: string;
  /** Its name, for people. */
  database: string;
  /** Holds schema.prisma and migrations/; left out, the database gets the platform's tables alone. */
  schemaFolder?: string;
}

/** Why migrations were not applied, as a whole sentence. */
export class MigrationError extends CodedError<'ERR_MIGRATION_EDITED' | 'ERR_MIGRATION_FAILED'> {
  override name = 'MigrationError';
}

/** The result of the worker. */
export interface MigrationOutcome {
  applied: { database: string; migrations: string[] }[];
  failure?: { code: MigrationError['code']; message: string };
}

/**
 * Applies the migrations that each database does not have yet: first those of the platform's tables, then the service's own,
 * through Prisma's engine, which writes them down in `_prisma_migrations`: `prisma migrate deploy` can continue from
 * there. The engine is WebAssembly. It does not free its memory and leaves timers that keep a process alive, so it runs in a thread
 * that ends with its work.
 * @returns the names of the migrations that were applied now, by database
 * @throws MigrationError that names the file and the statement that failed
 */
export async function migrate(targets: MigrationTarget[]): Promise<{ database: string; migrations: string[] }[]> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), {
    workerData: targets,
    execArgv: ['--no-warnings'],
  });
  try {
    const [{ applied, failure }] = (await once(worker, 'message')) as [MigrationOutcome];
    if (failure) throw new MigrationError(failure.code, failure.message);
    return applied;
  } finally {
    await worker.terminate();
  }
}
