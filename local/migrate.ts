import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

import { Fault } from './fault.ts';

/** A database and the migrations that it is to have. */
export interface MigrationTarget {
  /** Connection string of the role that owns the database. */
  url: string;
  /** Its name, for people. */
  database: string;
  /** Holds schema.prisma and migrations/ */
  schemaFolder: string;
}

/** What the worker answers. */
export interface MigrationOutcome {
  applied: { database: string; migrations: string[] }[];
  fault?: { message: string; hint: string | undefined };
}

/**
 * Applies the migrations that each database does not have yet, through Prisma's own engine, which writes them down in
 * `_prisma_migrations`: `prisma migrate deploy` goes on from there. The engine is WebAssembly that keeps its memory, and
 * timers that keep a process alive, so it gets a thread for as long as it works.
 * @returns the names of the migrations that were applied now, by database
 * @throws Fault that names the file and the statement that failed
 */
export async function migrate(targets: MigrationTarget[]): Promise<{ database: string; migrations: string[] }[]> {
  const worker = new Worker(new URL('migrate-worker.ts', import.meta.url), {
    workerData: targets,
    execArgv: ['--no-warnings'],
  });
  try {
    const [outcome] = (await once(worker, 'message')) as [MigrationOutcome];
    if (outcome.fault) throw new Fault(outcome.fault.message, outcome.fault.hint ? { hint: outcome.fault.hint } : {});
    return outcome.applied;
  } finally {
    await worker.terminate();
  }
}
