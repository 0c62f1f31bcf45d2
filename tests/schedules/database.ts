import pg from 'pg';
import type { QueryConfig } from 'pg';
import type { Pool } from '#platform/postgres';
import { assertSessions } from '#platform/postgres';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { testServers } from '#test/servers.ts';
import type { Actor } from './actor.ts';
import { currentActor } from './actor.ts';
import type { Scheduler } from './scheduler.ts';
import { lostConnection, Session } from './session.ts';

/** PostgreSQL's clock is a sequence: its value is visible to all transactions at once. */
const simulatedTime = `
  CREATE SCHEMA simulated;
  CREATE SEQUENCE simulated.clock MINVALUE 0;
  CREATE FUNCTION simulated.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS $$ SELECT to_timestamp(last_value / 1000.0) FROM simulated.clock $$;
  CREATE FUNCTION simulated.now() RETURNS timestamptz LANGUAGE sql STABLE
    AS $$ SELECT to_timestamp(last_value / 1000.0) FROM simulated.clock $$;
  GRANT USAGE ON SCHEMA simulated TO PUBLIC;
  GRANT SELECT ON simulated.clock TO PUBLIC;`;

/** A real PostgreSQL database for one schedule after the other, whose time is simulated. */
export class ScheduledDatabase {
  readonly #database: TestDatabase;
  /** beside the schedule, as a superuser: no fault concerns it */
  readonly control: pg.Client;
  /** what the actors use: one pool for all of them, because each connection belongs to who asks for it */
  readonly pool: Pool;
  readonly #idle: pg.Client[] = [];
  #opened = 0;
  readonly #sessions = new Map<Actor, Set<Session>>();
  #scheduler: Scheduler | undefined;
  #time = 0;

  private constructor(database: TestDatabase, control: pg.Client) {
    this.#database = database;
    this.control = control;
    this.pool = this.#makePool();
  }

  /** @param tables creates those of the schedules */
  static async create(tables: string): Promise<ScheduledDatabase> {
    const database = await createTestDatabase('analytics');
    const { pathname, username } = new URL(database.url);
    const own = new URL(testServers().postgres);
    own.pathname = pathname;
    const control = new pg.Client({ connectionString: own.href });
    control.on('error', () => undefined);
    await control.connect();
    const [name, role] = [pathname.slice(1), username].map((text) => pg.escapeIdentifier(text));
    await control.query(`${simulatedTime}
      ALTER ROLE ${role} IN DATABASE ${name} SET search_path = simulated, public, pg_catalog;
      ALTER ROLE ${role} IN DATABASE ${name} SET deadlock_timeout = '20ms';
      ALTER ROLE ${role} IN DATABASE ${name} SET idle_in_transaction_session_timeout = 0;`);
    await database.pool.query(tables);
    const scheduled = new ScheduledDatabase(database, control);
    await assertSessions(scheduled.pool); // else each relay would ask on connections that no schedule knows
    return scheduled;
  }

  #makePool(): Pool {
    const { pool } = this.#database;
    const own = {
      options: pool.options,
      on: () => own,
      connect: () => this.#connect(),
      query: async (text: string | QueryConfig, values?: unknown[]) => {
        const session = await this.#connect();
        try {
          return await session.query(text, values);
        } finally {
          session.release();
        }
      },
    };
    return own as unknown as Pool;
  }

  /** Runs work on connections of the service's role, beside all schedules. */
  async prepare<T>(work: (pool: Pool) => Promise<T>): Promise<T> {
    return work(this.#database.pool);
  }

  /** Begins a schedule. @throws where one before has not given all its connections back */
  use(scheduler: Scheduler): void {
    const kept = this.#opened - this.#idle.length;
    if (kept > 0) throw new Error(`an earlier schedule keeps ${kept} connections`);
    this.#scheduler = scheduler;
  }

  /** Sets PostgreSQL's clock. @param date milliseconds since 1970 */
  async setTime(date: number): Promise<void> {
    if (Math.abs(date - this.#time) < 20) return; // no wait of the platform's is that short
    this.#time = date;
    await this.control.query("SELECT setval('simulated.clock', $1)", [Math.floor(date)]);
  }

  /** Up to which offset of each partition of its topic a group has read. */
  async offsetsOf(group: string): Promise<Map<number, number>> {
    const { rows } = await this.control.query<{ partition: number; next: number }>(
      'SELECT partition, next_offset::int AS next FROM millrace.inbox_offsets WHERE consumer_group = $1',
      [group],
    );
    return new Map(rows.map(({ partition, next }) => [partition, next]));
  }

  /** The sessions of an actor that has crashed end, some of them after a moment. */
  endSessionsOf(actor: Actor, delay: () => number): void {
    for (const session of this.#sessions.get(actor) ?? []) if (!session.isLost) session.end(delay());
    this.#sessions.delete(actor);
  }

  async #connect(): Promise<Session> {
    const actor = currentActor()!;
    const scheduler = this.#scheduler!;
    let session: Session | undefined;
    return scheduler.call({
      what: 'connect',
      server: 'PostgreSQL',
      effect: async () => {
        const client = this.#idle.pop() ?? (await this.#open());
        const sessions = this.#sessions.get(actor) ?? new Set();
        this.#sessions.set(actor, sessions);
        const onReleased = () => {
          sessions.delete(own);
          this.#idle.push(client);
        };
        const own = new Session({ client, control: this.control, scheduler, onReleased });
        sessions.add(own);
        session = own;
        return own;
      },
      lose: lostConnection,
      timeoutMs: 5_000,
      abandoned: () => session?.end(0),
    });
  }

  async #open(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.#database.url });
    client.on('error', () => undefined);
    await client.connect();
    this.#opened += 1;
    return client;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#idle, this.control].map((client) => client.end()));
    await this.#database.drop();
  }
}
