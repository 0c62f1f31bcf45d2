import type { __Entity__Input } from '#contracts/__name__.ts';
import { appendToOutbox } from '#platform/outbox';
import { transaction } from '#platform/postgres';
import type { Pool } from '#platform/postgres';
import { __entityCamel__Created } from './events.ts';

/** One of __name__ as the database has it; 64-bit numbers are text. */
export interface __Entity__Row {
  id: string;
  name: string;
  createdAt: Date;
}

const columns = `id::text, name, created_at AS "createdAt"`;

/** The database of __name__. One transaction writes each change and its event. */
export class __Entity__Store {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async create({ name }: __Entity__Input): Promise<__Entity__Row> {
    return transaction(this.#pool, async (tx) => {
      const { rows } = await tx.query<__Entity__Row>({
        name: 'create-__entity__',
        text: `INSERT INTO __table__ (name) VALUES ($1) RETURNING ${columns}`,
        values: [name],
      });
      const row = rows[0]!;
      await appendToOutbox(tx, [__entityCamel__Created(row)]);
      return row;
    });
  }

  async find(id: string): Promise<__Entity__Row | undefined> {
    const { rows } = await this.#pool.query<__Entity__Row>({
      name: 'find-__entity__',
      text: `SELECT ${columns} FROM __table__ WHERE id = $1`,
      values: [id],
    });
    return rows[0];
  }

  /** Those with an id above `after`, in the order of their ids. */
  async list(after: string, limit: number): Promise<__Entity__Row[]> {
    const { rows } = await this.#pool.query<__Entity__Row>({
      name: 'list-__name__',
      text: `SELECT ${columns} FROM __table__ WHERE __table__.id > $1 ORDER BY __table__.id LIMIT $2`,
      values: [after, limit],
    });
    return rows;
  }
  //? consumes

  /** The rows of the projection, newest first. */
  async latestEvents(limit: number): Promise<LatestEventRow[]> {
    const { rows } = await this.#pool.query<LatestEventRow>({
      name: 'list-latest-events',
      text: `SELECT topic, key, event_id AS "eventId", type, time FROM latest_events ORDER BY time DESC LIMIT $1`,
      values: [limit],
    });
    return rows;
  }
  //? end
}
//? consumes

export interface LatestEventRow {
  topic: string;
  key: string;
  eventId: string;
  type: string;
  time: Date;
}
//? end
