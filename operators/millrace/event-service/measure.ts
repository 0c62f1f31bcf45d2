import type { ConditionUpdate } from '#runtime/conditions.ts';
import type { Log } from '#runtime/log.ts';
import type { DatabasePools } from '../database-pools.ts';
import type { ConsumerLagReader, GroupOffset } from '../consumer-lag.ts';
import type { EventService, EventServiceStatus } from '../api/event-service.ts';
import { isAway } from '../external-kafka/problem.ts';
import { answerWithin } from '../silent-servers.ts';
import { unavailable } from './database-server.ts';
import { unreadable } from './found-migrations.ts';

type ConsumerStatus = NonNullable<EventServiceStatus['consumers']>[number];
type Consumes = NonNullable<EventService['spec']['consumes']>[number];

/** How a service is doing. A figure that the operator cannot read is left out. */
export interface Measurements {
  consumers: ConsumerStatus[];
  /** how many partitions each topic has that its groups read */
  partitions: Map<string, number>;
}

const deadLettersSql = `SELECT count(*)::int AS count FROM millrace.dead_letters
  WHERE consumer_group = $1 AND replayed_at IS NULL AND discarded_at IS NULL`;
const offsetsSql = `SELECT topic, partition, next_offset AS next FROM millrace.inbox_offsets WHERE consumer_group = $1`;

const timeoutMs = 8_000;

/** Which servers of a service answer: the others are not asked. */
export interface Answering {
  postgresql: boolean;
  kafka: boolean;
}

/** Which servers answer, as the conditions of a service say. */
export function answeringOf(conditions: readonly Pick<ConditionUpdate, 'reason'>[]): Answering {
  const isReason = (test: (reason: string) => boolean) => conditions.some(({ reason }) => test(reason));
  return {
    postgresql: !isReason((reason) => reason === unavailable || reason === unreadable),
    kafka: !isReason(isAway),
  };
}

/** Reads the lag and the dead letters of the groups of a service from Kafka and from its databases. */
export async function measure(
  service: EventService,
  { lagReader, pools, log }: { lagReader: ConsumerLagReader; pools: DatabasePools; log: Log },
  answering: Answering,
  signal: AbortSignal,
): Promise<Measurements> {
  const { namespace = '', name } = service.metadata;
  const { consumes = [], kafka } = service.spec;
  const partitions = new Map<string, number>();
  if (!answering.postgresql) return { consumers: consumes.map(({ group }) => ({ group })), partitions };
  const within = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const attempt = async <T>(what: string, read: () => Promise<T | undefined>): Promise<T | undefined> => {
    try {
      return await answerWithin(timeoutMs, what, read());
    } catch (error) {
      if (signal.aborted) throw error;
      log.debug({ err: error, service: name, namespace }, `${what} cannot be read`);
      return undefined;
    }
  };
  const rowsOf = async <Row extends object>(
    database: string,
    sql: string,
    values: unknown[],
  ): Promise<Row[] | undefined> => {
    const pool = await pools.get(namespace, database, within);
    return (await pool?.query<Row>(sql, values))?.rows;
  };
  const lagOf = async ({ group, topics, database }: Consumes) => {
    if (!kafka || !answering.kafka) return undefined;
    const rows = await rowsOf<Omit<GroupOffset, 'next'> & { next: string }>(database, offsetsSql, [group]);
    if (!rows) return undefined;
    const offsets = rows.map((row) => ({ ...row, next: BigInt(row.next) }));
    return await lagReader.read({ namespace, kafka }, topics, offsets, within);
  };
  const consumers = await Promise.all(
    consumes.map(async (consumed): Promise<ConsumerStatus> => {
      const { group, database } = consumed;
      const [read, rows] = await Promise.all([
        attempt(`the lag of ${group}`, () => lagOf(consumed)),
        attempt(`the dead letters of ${group}`, () => rowsOf<{ count: number }>(database, deadLettersSql, [group])),
      ]);
      for (const [topic, count] of read?.partitions ?? []) partitions.set(topic, count);
      const deadLetters = rows?.[0];
      return {
        group,
        ...(read ? { lag: read.lag } : {}),
        ...(deadLetters ? { deadLetters: deadLetters.count } : {}),
      };
    }),
  );
  return { consumers, partitions };
}
