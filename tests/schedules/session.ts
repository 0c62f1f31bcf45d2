import { EventEmitter } from 'node:events';
import type pg from 'pg';
import type { QueryConfig, QueryResult } from 'pg';
import type { Scheduler } from './scheduler.ts';

/** how long a connection may be silent, in milliseconds: `createPool` */
const silentMs = 17_000;

/** What the client of a lost connection gets. */
export const lostConnection = () => Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });

interface SessionOptions {
  client: pg.Client;
  control: pg.Client;
  scheduler: Scheduler;
  /** called when another actor can have the connection */
  onReleased: () => void;
}

/** A connection of an actor, as `pg` has it. */
export class Session extends EventEmitter {
  readonly #options: SessionOptions;
  /** pg's own limit, which relays set */
  readonly connectionParameters = { query_timeout: 0 };
  #last: Promise<unknown> = Promise.resolve();
  /** whether the actor has lost it; what it has sent last can still take effect, and the session ends after that */
  isLost = false;
  #isReleased = false;
  /** whether PostgreSQL has a statement of it */
  #isRunning = false;
  #isOver = false;

  constructor(options: SessionOptions) {
    super();
    this.#options = options;
  }

  query(text: string | QueryConfig, values?: unknown[]): Promise<QueryResult> {
    const result = this.#last.then(() => this.#query(text, values));
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #query(text: string | QueryConfig, values?: unknown[]): Promise<QueryResult> {
    if (this.isLost) throw new Error('Client has encountered a connection error and is not queryable');
    const { client, scheduler } = this.#options;
    const sql = typeof text === 'string' ? text : text.text;
    const isControl = /^(BEGIN|COMMIT|ROLLBACK)/.test(sql);
    const run = async (work: () => Promise<QueryResult>) => {
      this.#isRunning = true;
      try {
        return await work();
      } finally {
        this.#isRunning = false;
      }
    };
    return scheduler.call({
      what: sql.trim().replaceAll(/\s+/g, ' '),
      server: 'PostgreSQL',
      effect: async () => {
        if (this.#isOver) throw lostConnection();
        return run(() => client.query(text as QueryConfig, values));
      },
      fail: isControl
        ? undefined
        : (code) => run(() => client.query(`DO $$ BEGIN RAISE EXCEPTION 'a fault' USING ERRCODE = '${code}'; END $$`)),
      lose: () => {
        this.isLost = true;
        return lostConnection();
      },
      timeoutMs: this.connectionParameters.query_timeout || silentMs,
      isBlocked: () => this.#isBlocked(),
      abandoned: () => this.end(0),
    });
  }

  release(destroys?: Error | boolean): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    if (this.isLost) return; // PostgreSQL ends it when it has noticed
    if (destroys) this.end(0);
    else this.#give();
  }

  /** PostgreSQL ends the session after this time, in milliseconds, and rolls back. */
  end(ms: number): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.isLost = true;
    const { client, control, scheduler } = this.#options;
    scheduler.later('a session ends', ms, async () => {
      if (this.#isRunning) await control.query('SELECT pg_cancel_backend($1)', [pidOf(client)]);
      for (;;) {
        try {
          await client.query('ROLLBACK; RESET ALL; SELECT pg_advisory_unlock_all()');
          break;
        } catch (error) {
          if ((error as { code?: unknown }).code !== '57014') throw error;
          // the cancellation came late, and has met this
        }
      }
      this.#options.onReleased();
    });
  }

  #give(): void {
    this.#isOver = true;
    this.#options.onReleased();
  }

  async #isBlocked(): Promise<boolean> {
    const { client, control } = this.#options;
    const { rows } = await control.query<{ blocked: boolean }>("SELECT pg_blocking_pids($1) <> '{}' AS blocked", [
      pidOf(client),
    ]);
    return rows[0]!.blocked;
  }
}

const pidOf = (client: pg.Client) => (client as pg.Client & { processID: number }).processID;
