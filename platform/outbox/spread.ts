import { setTimeout as sleep } from 'node:timers/promises';
import { PlatformError } from '#platform/errors';
import type { KafkaAdmin } from '#platform/kafka';
import type { Pool } from '#platform/postgres';
import { untilRelaysFollow } from './shards.ts';

const pollMs = 250;
/** the hold must last for so long, in milliseconds, when the number is changed: until then no relay sends by the former one */
const marginMs = 5_000;

/** The part of Kafka's admin that tells how far groups are. */
export type GroupAdmin = Pick<KafkaAdmin, 'watermarks' | 'groups' | 'committed'>;

export interface SpreadOptions {
  topic: string;
  /** the groups that are declared to read the topic; those that Kafka knows are added */
  groups: readonly string[];
  /** groups that nobody waits for */
  ignored: readonly string[];
  /** how long the events of the topic may wait, in milliseconds */
  withinMs: number;
}

/**
 * Spreads the events of a topic over all of its partitions, also those that it has got later. Until each consumer group has read
 * what is in the topic, the events wait in the outbox: so no consumer reads an event before an earlier one of its key.
 * @param pool of the database of the outbox
 * @returns the numbers of partitions before and after
 * @throws PlatformError if a group has not read everything in time; the events then go on as before
 */
export async function spreadTopic(
  { pool, admin }: { pool: Pool; admin: GroupAdmin },
  options: SpreadOptions,
): Promise<{ from: number; to: number }> {
  const { topic, withinMs } = options;
  const deadline = performance.now() + withinMs;
  const to = (await admin.watermarks(topic)).size;
  const { rows } = await pool.query<{ partitions: number }>(
    `UPDATE millrace.outbox_topics SET held_until = clock_timestamp() + $2 * interval '1 ms' WHERE topic = $1 RETURNING partitions`,
    [topic, withinMs + 2 * marginMs],
  );
  if (!rows[0]) throw refused(`the outbox has published no event of ${topic}`);
  const from = rows[0].partitions;
  try {
    if (!(await untilRelaysFollow(pool, deadline))) throw refused('a relay does not answer');
    await untilRead(admin, options, deadline);
    const { rowCount } = await pool.query(
      `UPDATE millrace.outbox_topics SET partitions = $2, held_until = NULL
       WHERE topic = $1 AND partitions = $3 AND held_until > clock_timestamp() + $4 * interval '1 ms'`,
      [topic, to, from, marginMs],
    );
    if (rowCount === 0) throw refused('another command has changed the number');
    return { from, to };
  } catch (error) {
    await pool.query('UPDATE millrace.outbox_topics SET held_until = NULL WHERE topic = $1', [topic]);
    throw error;
  }
}

async function untilRead(admin: GroupAdmin, options: SpreadOptions, deadline: number): Promise<void> {
  const { topic, groups, ignored } = options;
  const known = await admin.groups();
  const unknown = groups.filter((group) => !known.includes(group) && !ignored.includes(group));
  if (unknown.length > 0)
    throw refused(`Kafka shows no group ${unknown.join(', ')}: it has not run, or this user may not see it`);
  const ends = [...(await admin.watermarks(topic))].filter(([, { low, high }]) => high > low);
  let behind = known.filter((group) => !ignored.includes(group));
  for (;;) {
    const left: string[] = [];
    for (const group of behind) {
      const offsets = new Map(
        (await admin.committed(group, [topic])).map(({ partition, offset }) => [partition, offset]),
      );
      const isReader = offsets.size > 0 || groups.includes(group);
      if (isReader && ends.some(([partition, { high }]) => (offsets.get(partition) ?? 0n) < high)) left.push(group);
    }
    if (left.length === 0) return;
    if (performance.now() > deadline) throw refused(`${left.join(', ')} has not read all of ${topic}`);
    behind = left;
    await sleep(pollMs);
  }
}

const refused = (reason: string) => new PlatformError('ERR_OUTBOX_NOT_SPREAD', `nothing is changed: ${reason}`);
