import { Client, Pool } from 'pg';
import type { ClientConfig, PoolClient, PoolConfig } from 'pg';
import { PlatformError } from '#platform/errors';
import type { Logger } from '#platform/telemetry';
import { gauge } from '#platform/telemetry';
import { endWhenSilent } from './client.ts';
import { connectionOf } from './connection.ts';
import type { Certificates } from './connection.ts';
import { isWrongPassword, markConnecting, markUndone } from './errors.ts';
import { Passwords } from './passwords.ts';
import { assertSessions } from './sessions.ts';

export type { ClientBase, Pool, PoolClient } from 'pg';

export interface PoolOptions {
  /** the name of the pool in metrics, and of its connections in pg_stat_activity */
  name: string;
  url: string;
  /** by default what is in the files that the URL names */
  certificates?: Certificates | undefined;
  /** the most connections */
  max: number;
  log: Logger;
  /** how long a statement may take, in milliseconds */
  statementMs?: number;
}

/** how long a query may wait for a connection, in milliseconds */
const waitMs = 5_000;
/** how much longer than a statement may take a connection may be silent, in milliseconds */
const graceMs = 2_000;

const pools = new Map<string, Pool>();

/**
 * A bounded pool of PostgreSQL connections with metrics. It logs and replaces a lost or silent connection, and does not throw. Each
 * new connection reads certificates and, from the Secrets mounted below DATABASE_SECRETS_DIR, the password again: both may be renewed.
 */
export function createPool({ name, url, certificates, max, log, statementMs = 15_000 }: PoolOptions): Pool {
  const passwords = new Passwords(url, process.env['DATABASE_SECRETS_DIR']);
  const settings = freshSettings(url, certificates);
  const pool = new OwnPool({
    ...settings(undefined),
    Client: clientOf(passwords, settings),
    max,
    application_name: `millrace-${name}`,
    connectionTimeoutMillis: waitMs,
    idleTimeoutMillis: 60_000,
    statement_timeout: statementMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    options: sessionOptions,
  });
  // the next query of a lost connection fails, too; but an event without a listener would end the process
  pool.on('connect', (client) => {
    client.on('error', () => undefined);
    endWhenSilent(client, statementMs + graceMs);
  });
  pool.on('error', (error) => log.warn({ err: error, pool: name }, 'an idle database connection was lost'));
  pools.set(name, pool);
  registerMetrics();
  return pool;
}

/**
 * Prisma's adapter reads and writes timestamptz without a zone. With the keep-alive, the server ends the sessions of a client
 * that is gone without a word, and with them their locks; with the timeout those of one that stands still in a transaction.
 */
const sessionOptions = [
  '-c TimeZone=UTC',
  '-c tcp_keepalives_idle=10',
  '-c tcp_keepalives_interval=2',
  '-c tcp_keepalives_count=5',
  '-c idle_in_transaction_session_timeout=10s',
].join(' ');

type Connected = (error: Error | undefined, client: PoolClient | undefined, release: (error?: unknown) => void) => void;

type Settings = ReturnType<typeof connectionOf>;

/** What to connect with now, with a password in place of the URL's. Files that cannot be used at the moment are those of before. */
function freshSettings(
  url: string,
  certificates: Certificates | undefined,
): (password: string | undefined) => Settings {
  let last = connectionOf(url, certificates);
  return (password) => {
    try {
      last = connectionOf(url, certificates);
    } catch {
      // a mounted file is being replaced
    }
    if (password === undefined) return last;
    const address = new URL(last.connectionString);
    address.password = encodeURIComponent(password);
    return { ...last, connectionString: address.href };
  };
}

/** A client that asks for its password when it is made, and tells whether PostgreSQL has taken it. */
function clientOf(passwords: Passwords, settings: (password: string | undefined) => Settings): PoolConfig['Client'] {
  class OwnClient extends Client {
    readonly #password: string | undefined;

    constructor(config: ClientConfig) {
      const password = passwords.choose();
      super({ ...config, ...settings(password) });
      this.#password = password;
    }

    override connect(): Promise<this>;
    override connect(callback: (error: Error) => void): void;
    override connect(callback?: (error: Error) => void): Promise<this> | void {
      if (callback === undefined) return super.connect() as Promise<this>;
      // so calls pg's pool
      super.connect((error: Error) => {
        if (!error) passwords.taken(this.#password);
        else if (isWrongPassword(error) && passwords.refused(this.#password)) anotherPassword.add(error);
        callback(error);
      });
    }
  }
  // the pool passes the settings, whatever pg's types say
  return OwnClient as unknown as PoolConfig['Client'];
}

/** Errors after which another password is worth an attempt. */
const anotherPassword = new WeakSet<Error>();

/** A pool that tries the passwords that there are, and marks the errors of connecting: the work has not begun. */
class OwnPool extends Pool {
  override connect(): Promise<PoolClient>;
  override connect(callback: Connected): void;
  override connect(callback?: Connected): Promise<PoolClient> | void {
    if (callback !== undefined) return this.#connect(callback); // so calls pg's `query`
    return new Promise((resolve, reject) => {
      this.#connect((error, client) => (client ? resolve(client) : reject(error as Error)));
    });
  }

  #connect(callback: Connected): void {
    super.connect((error, client, release) => {
      if (error && anotherPassword.has(error)) this.#connect(callback);
      else callback(markConnecting(error), client, release);
    });
  }
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

/**
 * Runs `work` in one transaction: committed when it resolves, rolled back when it throws. If the connection is lost before the
 * COMMIT, the error is marked as undone: PostgreSQL rolls back.
 */
export async function transaction<T>(pool: Pool, work: (tx: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  let isCommitting = false;
  try {
    await client.query('BEGIN');
    const result = await work(client);
    isCommitting = true;
    const { command } = await client.query('COMMIT');
    if (command !== 'COMMIT') {
      throw new PlatformError(
        'ERR_DATABASE_ROLLED_BACK',
        'PostgreSQL has rolled back the transaction: a statement failed',
      );
    }
    return result;
  } catch (error) {
    if (!isCommitting) markUndone(error);
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

/** Resolves when the database answers, and its connections are sessions; the check of a readiness probe. */
export async function ping(pool: Pool): Promise<void> {
  await assertSessions(pool); // first: such a pooler may refuse the pool's connections for a reason of its own
  await pool.query('SELECT 1');
}
