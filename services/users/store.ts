import { PrismaPg } from '@prisma/adapter-pg';
import { UsersError } from './errors.ts';
import { outboxInsert } from '#platform/outbox';
import type { OutboxEvent } from '#platform/outbox';
import { markUndone } from '#platform/postgres';
import type { Pool } from '#platform/postgres';
import { inject } from '#platform/telemetry';
import type { UserInput } from '#contracts/users.ts';
import { PrismaClient } from '#prisma/users/client/client.ts';
import type { Prisma } from '#prisma/users/client/client.ts';
import { userChanged, userDeleted } from './events.ts';
import type { UserRow } from './events.ts';
import { isMissing, takenField } from './prisma-errors.ts';

/** A username or an e-mail that another user has, in any case. */
export class Taken extends UsersError {
  override name = 'Taken';
  readonly field: 'username' | 'email';

  constructor(field: 'username' | 'email', cause: unknown) {
    super('ERR_USERS_TAKEN', `the ${field} is taken`, { cause });
    this.field = field;
  }
}

const columns = `id, username, email, first_name AS "firstName", last_name AS "lastName", status, version,
  created_at AS "createdAt", updated_at AS "updatedAt"`;

/** How long a change may wait for a connection, and then take, in milliseconds. */
const transactionOptions = { maxWait: 5_000, timeout: 10_000 };

/**
 * The users database. Each change and its event are one transaction; the event is written under the row's lock, so that
 * the events of a user have ids in the order of its changes. Single users are read with prepared statements
 * over pg: orders asks for them at a high rate, and Prisma takes half as much processor time again.
 */
export class UserStore {
  readonly #pool: Pool;
  readonly #prisma: PrismaClient;

  constructor(pool: Pool) {
    this.#pool = pool;
    this.#prisma = new PrismaClient({ adapter: new PrismaPg(pool), transactionOptions });
  }

  /** @throws Taken */
  async create(input: UserInput): Promise<UserRow> {
    return this.#change(async (tx) => {
      const now = new Date();
      const user = await tx.user.create({ data: { ...fields(input), createdAt: now, updatedAt: now } });
      await write(tx, userChanged('user.created', user, inject()));
      return user;
    });
  }

  /**
   * Returns the changed user, undefined if there is none.
   * @param versions the versions in which it may be changed; default: any
   * @throws Taken
   */
  async update(id: bigint, input: UserInput, versions?: number[]): Promise<UserRow | undefined> {
    return this.#existing(async (tx) => {
      const user = await tx.user.update({
        where: { id, ...inVersions(versions) },
        data: { ...fields(input), version: { increment: 1 }, updatedAt: new Date() },
      });
      await write(tx, userChanged('user.updated', user, inject()));
      return user;
    });
  }

  /**
   * Returns whether there was such a user. Its events remain; its username and e-mail are free again.
   * @param versions the versions in which it may be deleted; default: any
   */
  async delete(id: bigint, versions?: number[]): Promise<boolean> {
    const deleted = await this.#existing(async (tx) => {
      const user = await tx.user.delete({
        where: { id, ...inVersions(versions) },
        select: { id: true, version: true },
      });
      await write(tx, userDeleted(user, new Date(), inject()));
      return user;
    });
    return deleted !== undefined;
  }

  async find(id: bigint): Promise<UserRow | undefined> {
    const { rows } = await this.#pool.query<UserRow>({
      name: 'user-by-id',
      text: `SELECT ${columns} FROM users WHERE id = $1`,
      values: [id],
    });
    return rows[0];
  }

  /** Finds a user by its username, in any case, composed or as it is written: those of before may be kept in another form. */
  async findByUsername(username: string): Promise<UserRow | undefined> {
    const { rows } = await this.#pool.query<UserRow>({
      name: 'user-by-username',
      text: `SELECT ${columns} FROM users WHERE lower(username) IN (lower($1), lower(normalize($1, NFC))) ORDER BY id LIMIT 1`,
      values: [username],
    });
    return rows[0];
  }

  /** Users with an id above `after`, in the order of their ids. */
  async list(after: bigint, limit: number): Promise<UserRow[]> {
    return this.#prisma.user.findMany({ where: { id: { gt: after } }, orderBy: { id: 'asc' }, take: limit });
  }

  async close(): Promise<void> {
    await this.#prisma.$disconnect();
  }

  /** An error before the COMMIT is marked as undone: PostgreSQL rolls back. */
  async #change<T>(work: (tx: Prisma.TransactionClient) => Promise<T>): Promise<T> {
    let isCommitting = false;
    try {
      return await this.#prisma.$transaction(async (tx) => {
        const result = await work(tx);
        isCommitting = true;
        return result;
      });
    } catch (error) {
      const field = takenField(error);
      if (field) throw new Taken(field, error);
      throw isCommitting ? error : markUndone(error);
    }
  }

  async #existing<T>(work: (tx: Prisma.TransactionClient) => Promise<T>): Promise<T | undefined> {
    try {
      return await this.#change(work);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }
}

async function write(tx: Prisma.TransactionClient, event: OutboxEvent): Promise<void> {
  const { text, values } = outboxInsert(event);
  await tx.$executeRawUnsafe(text, ...values);
}

const inVersions = (versions: number[] | undefined) => (versions ? { version: { in: versions } } : {});

function fields({ username, email, firstName, lastName }: UserInput) {
  return { username, email, firstName, lastName };
}
