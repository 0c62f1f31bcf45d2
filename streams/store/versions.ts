import { createHash } from 'node:crypto';
import type { Pool, PoolClient } from '#platform/postgres';
import { Unavailable } from '#platform/postgres';
import { planOf, Versions } from '#streams/engine';
import type { KnownVersion, Plan } from '#streams/engine';
import { parseQuery } from '#streams/language';

/** A transaction that relies on the running versions holds this lock shared; one that changes them, exclusively. */
const lock = `hashtext('millrace stream queries')`;

/**
 * Keeps the versions unchanged until the transaction ends; waits for a transaction that changes them.
 * @returns the epoch
 */
export async function lockVersionsShared(tx: PoolClient): Promise<bigint> {
  // two statements in one message: the second one sees all commits from before it got the lock
  const results = (await tx.query(
    `SELECT pg_advisory_xact_lock_shared(${lock}); SELECT epoch::text FROM stream_epoch`,
  )) as unknown as { rows: { epoch: string }[] }[];
  return BigInt(results[1]!.rows[0]!.epoch);
}

/** Excludes all transactions that rely on the running versions, until the transaction ends. */
export async function lockVersionsExclusive(tx: PoolClient): Promise<void> {
  await tx.query(`SELECT pg_advisory_xact_lock(${lock})`);
}

/** Announces a change of versions or subscriptions. It is the last statement of a transaction, because others wait for it. */
export async function nextEpoch(tx: PoolClient): Promise<void> {
  await tx.query('UPDATE stream_epoch SET epoch = epoch + 1');
}

export async function readEpoch(pool: Pool): Promise<bigint> {
  const { rows } = await pool.query<{ epoch: string }>('SELECT epoch::text FROM stream_epoch');
  return BigInt(rows[0]!.epoch);
}

interface VersionRow extends KnownVersion {
  isReleased: boolean;
}

/** The versions that are not retired, oldest first. */
export async function readLive(db: Pool | PoolClient): Promise<{ epoch: bigint; live: VersionRow[] }> {
  const { rows } = await db.query<VersionRow & { epoch: string }>({
    name: 'versions-read',
    text: `SELECT epoch::text, id, name, version, fingerprint, definition, served_at IS NULL AS "isBuilding",
        released_at IS NOT NULL AS "isReleased"
      FROM stream_epoch LEFT JOIN stream_queries ON retired_at IS NULL ORDER BY id`,
  });
  return { epoch: BigInt(rows[0]!.epoch), live: rows.filter(({ id }: { id: number | null }) => id !== null) };
}

/** Reads which versions run. It compiles each definition once. */
export class VersionSource {
  readonly #group: string;
  #plans = new Map<string, Plan>();

  /** @param group the service's own consumer group */
  constructor(group: string) {
    this.#group = group;
  }

  /** @throws Unavailable if it does not understand a definition: a service of another release can have written it */
  async load(db: Pool | PoolClient): Promise<Versions> {
    const { epoch, live } = await readLive(db); // later changes belong to a later epoch
    const { rows } = await db.query<{
      query_id: number;
      topic: string;
      partition: number;
      consumer_group: string;
      from_offset: string;
    }>({
      name: 'members-read',
      text: 'SELECT query_id, topic, partition, consumer_group, from_offset::text FROM stream_members',
    });
    const plans = new Map<string, Plan>();
    const versions = live.map((row) => {
      const hash = createHash('sha256')
        .update(row.definition ?? '')
        .digest('base64url')
        .slice(0, 12);
      const stamp = `${row.id}/${hash}${row.isBuilding ? '/building' : ''}`;
      const plan = this.#plans.get(stamp) ?? planOfRow(row);
      plans.set(stamp, plan);
      return { plan, stamp, isReleased: row.isReleased };
    });
    this.#plans = plans;
    const members = rows.map((row) => ({
      id: row.query_id,
      topic: row.topic,
      partition: row.partition,
      group: row.consumer_group,
      from: BigInt(row.from_offset),
    }));
    return new Versions(this.#group, epoch, versions, members);
  }
}

function planOfRow({ id, name, version, definition, isBuilding }: VersionRow): Plan {
  const { query, faults } = parseQuery(name, definition ?? '');
  if (query) return planOf(query, id, version, isBuilding);
  const [fault] = faults;
  throw new Unavailable(
    `version ${version} of the stream query ${name} cannot be run by this release: ${
      fault && definition !== null ? `line ${fault.line}: ${fault.message}` : 'its definition is not kept'
    }`,
  );
}
