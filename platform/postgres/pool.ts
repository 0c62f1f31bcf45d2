import { Pool } from 'pg';
import type { PoolClient } from 'pg';
import { PlatformError } from '#platform/errors';
import type { Logger } from '#platform/telemetry';
import { gauge } from '#platform/telemetry';

export type { Pool, PoolClient } from 'pg';

export interface PoolOptions {
  /** the name of the pool in metrics, and of its connections in pg_stat_activity */
  name: string;
  url: string;
  /** the most connections */
  max: number;
  log: Logger;
  /** how long a statement may take, in milliseconds */
  statementMs?: number;
}

/** how long a query may wait for a connection, in milliseconds */
const waitMs = 5_000;

const pools = new Map<string, Pool>();

/** A bounded pool of PostgreSQL connections with metrics. It logs and replaces a lost connection, and does not throw. */
export function createPool({ name, url, max, log, statementMs = 15_000 }: PoolOptions): Pool {
  const pool = new Pool({
    connectionString: url,
    max,
    application_name: `millrace-${name}`,
    connectionTimeoutMillis: waitMs,
    idleTimeoutMillis: 60_000,
    statement_timeout: statementMs,
    keepAlive: true,
    options: '-c TimeZone=UTC', // Prisma's adapter reads and writes timestamptz without a zone
  });
  // the next query of a lost connection fails, too; but an event without a listener would end the process
  pool.on('connect', (client) => client.on('error', () => undefined));
  pool.on('error', (error) => log.warn({ err: error, pool: name }, 'an idle database connection was lost'));
  pools.set(name, pool);
  registerMetrics();
  return pool;
}

function registerMetrics(): void {
  gauge({
    name: 'millrace_db_connections',
    help: 'Connections of a PostgreSQL pool by state',
    labelNames: ['pool', 'state'],
    collect() {
      for (const [name, pool] of pools) {
        this.set({ pool: name, state: 'used' }, pool.totalCount - pool.idleCount);
        this.set({ pool: name, state: 'idle' }, pool.idleCount);
        this.set({ pool: name, state: 'waited-for' }, pool.waitingCount);
      }
    },
  });
}

/** Runs `work` in one transaction: committed when it resolves, rolled back when it throws. */
export async function transaction<T>(pool: Pool, work: (tx: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query('BEGIN');
    const result = await work(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    try {
      await client.query('ROLLBACK');
    } catch (rollbackError) {
      broken = rollbackError as Error; // the connection is lost, and the transaction with it
    }
    throw error;
  } finally {
    client.release(broken);
  }
}

/** Resolves when the database answers; the check of a readiness probe. */
export async function ping(pool: Pool): Promise<void> {
  await pool.query('SELECT 1');
}

// Classes and codes of https://www.postgresql.org/docs/18/errcodes-appendix.html
const passingCodes = new Set(['40001', '40P01', '55P03', '57P01', '57P02', '57P03', '53300', '25006']);
const networkCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENETUNREACH',
  'EHOSTUNREACH',
]);
const passingMessages =
  /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|not queryable/;

// Prisma's codes: not reached, connection closed, no connection in time, no transaction in time
const prismaUnavailable = new Set(['P1001', 'P1017', 'P2024', 'P2028']);

/** PostgreSQL's code of an error from Prisma's adapter, or Prisma's own code for a server that it cannot reach. */
function prismaCode(error: Error): string {
  const { code, meta } = error as {
    code?: string;
    meta?: { driverAdapterError?: { cause?: { originalCode?: string; kind?: string } } };
  };
  const cause = meta?.driverAdapterError?.cause;
  if (cause?.kind === 'DatabaseNotReachable' || prismaUnavailable.has(code ?? '')) return '08006';
  return cause?.originalCode ?? '';
}

/** Thrown by work that cannot be done now, for a transient reason. */
export class Unavailable extends PlatformError {
  override name = 'Unavailable';

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_UNAVAILABLE', message, options);
  }
}

/**
 * Whether an error says that the database is unavailable now (gone, starting, full, or a lock or serialization failure), so
 * that the same work can succeed later. The work itself has caused any other error.
 */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof Unavailable) return true;
  const codes = [(error as { code?: string }).code ?? '', prismaCode(error)];
  if (codes.some((code) => /^(08|53)/.test(code) || passingCodes.has(code) || networkCodes.has(code))) return true;
  return passingMessages.test(error.message) || (error.cause !== undefined && isUnavailable(error.cause));
}
