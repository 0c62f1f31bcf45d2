import type { Log } from '#runtime/log.ts';
import type { Databases } from '../databases.ts';
import type { Lags, Position } from '../kafka.ts';
import type { EventService, EventServiceStatus } from '../api/event-service.ts';

export type Consumer = NonNullable<EventServiceStatus['consumers']>[number];
export type DatabaseStatus = NonNullable<EventServiceStatus['databases']>[number];

type Consumes = NonNullable<EventService['spec']['consumes']>[number];

/** What is measured of a service. What could not be asked is left out. */
export interface Measured {
  consumers: Consumer[];
  databases: DatabaseStatus[];
  /** partitions by topic; of the topics that could be asked */
  partitions: Map<string, number>;
}

const deadLettersSql = `SELECT count(*)::int AS count FROM millrace.dead_letters
  WHERE consumer_group = $1 AND replayed_at IS NULL`;
const positionsSql = `SELECT topic, partition, next_offset AS next FROM millrace.inbox_offsets WHERE consumer_group = $1`;
const schemaVersionSql = `SELECT migration_name AS name FROM _prisma_migrations
  WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL ORDER BY migration_name DESC LIMIT 1`;

/** Asking may not take longer. */
const withinMs = 8_000;

/** Asks Kafka and the databases of a service how it is doing. */
export async function measure(
  service: EventService,
  { lags, databases, log }: { lags: Lags; databases: Databases; log: Log },
  signal: AbortSignal,
): Promise<Measured> {
  const { namespace = '', name } = service.metadata;
  const { consumes = [], databases: declared = [], kafka } = service.spec;
  const partitions = new Map<string, number>();
  const within = AbortSignal.any([signal, AbortSignal.timeout(withinMs)]);
  const attempt = async <T>(what: string, ask: () => Promise<T | undefined>): Promise<T | undefined> => {
    try {
      return await ask();
    } catch (error) {
      if (signal.aborted) throw error;
      log.debug({ err: error, service: name, namespace }, `${what} cannot be asked`);
      return undefined;
    }
  };
  const rowsOf = async <Row extends object>(
    database: string,
    sql: string,
    values: unknown[],
  ): Promise<Row[] | undefined> => {
    const pool = await databases.pool(namespace, database, within);
    return (await pool?.query<Row>(sql, values))?.rows;
  };
  const lagOf = async ({ group, topics, database }: Consumes) => {
    const rows = kafka && (await rowsOf<Omit<Position, 'next'> & { next: string }>(database, positionsSql, [group]));
    if (!rows) return undefined;
    const positions = rows.map((row) => ({ ...row, next: BigInt(row.next) }));
    return await lags.lag({ namespace, cluster: kafka.cluster }, topics, positions, within);
  };
  const consumers = await Promise.all(
    consumes.map(async (consumed): Promise<Consumer> => {
      const { group, database } = consumed;
      const behind = await attempt(`the lag of ${group}`, () => lagOf(consumed));
      for (const [topic, count] of behind?.partitions ?? []) partitions.set(topic, count);
      const rows = await attempt(database, () => rowsOf<{ count: number }>(database, deadLettersSql, [group]));
      const dead = rows?.[0];
      return {
        group,
        ...(behind ? { lag: behind.lag } : {}),
        ...(dead ? { deadLetters: dead.count } : {}),
      };
    }),
  );
  const versions = await Promise.all(
    declared.map(async ({ name: database }): Promise<DatabaseStatus> => {
      const rows = await attempt(database, () => rowsOf<{ name: string }>(database, schemaVersionSql, []));
      const version = rows?.[0];
      return { name: database, ...(version ? { schemaVersion: version.name } : {}) };
    }),
  );
  return { consumers, databases: versions, partitions };
}
