import { nameOf } from '#platform/kafka';
import type { TopicPartition, Watermarks } from '#platform/kafka';
import type { Pool } from '#platform/postgres';

/** A stored offset. */
export interface Stored {
  next: bigint;
  /** changes whenever a member that writes to this database reads or marks the partition */
  mark: string;
}

/**
 * The stored offsets of a group, by partition.
 * @param marked partitions that this member reads without moving them: they are marked, so that the other members know
 */
export async function readStored(
  pool: Pool,
  group: string,
  marked: readonly TopicPartition[],
): Promise<Map<string, Stored>> {
  // a row that is locked is about to move
  const { rows } = await pool.query<TopicPartition & { next_offset: string; mark: string }>(
    `WITH own AS (
       SELECT o.topic, o.partition FROM millrace.inbox_offsets o
       JOIN unnest($2::text[], $3::int[]) AS m(topic, partition) ON m.topic = o.topic AND m.partition = o.partition
       WHERE o.consumer_group = $1 FOR NO KEY UPDATE OF o SKIP LOCKED
     ), marked AS (
       UPDATE millrace.inbox_offsets o SET updated_at = clock_timestamp() FROM own
       WHERE o.consumer_group = $1 AND o.topic = own.topic AND o.partition = own.partition)
     SELECT topic, partition, next_offset, updated_at::text AS mark FROM millrace.inbox_offsets WHERE consumer_group = $1`,
    [group, marked.map(({ topic }) => topic), marked.map(({ partition }) => partition)],
  );
  return new Map(rows.map((row) => [nameOf(row), { next: BigInt(row.next_offset), mark: row.mark }]));
}

/** A partition with something to read that this member does not own. */
export interface Unread extends TopicPartition {
  /** undefined where nobody has stored an offset */
  stored: Stored | undefined;
  end: bigint;
}

/** The ends of a partition's log. */
export type LogEnd = TopicPartition & Watermarks;

/** The partitions with something to read that are not among those of this member. */
export function unreadOf(
  ends: ReadonlyMap<string, LogEnd>,
  stored: ReadonlyMap<string, Stored>,
  own: readonly TopicPartition[],
): Unread[] {
  const owned = new Set(own.map(nameOf));
  return [...ends].flatMap(([name, { low, high: end, ...partition }]) => {
    const at = stored.get(name);
    return owned.has(name) || end <= (at?.next ?? low) ? [] : [{ ...partition, stored: at, end }];
  });
}

/**
 * The partitions that members of the group read which do not write to this database: another installation, or another program, has
 * joined the group. The owner of a partition that writes here moves its stored offset, or marks it.
 */
export class Elsewhere {
  /** by the clock of `performance.now()` */
  #since = new Map<string, Unread & { since: number }>();

  /** @param unread all partitions with something to read that this member does not own */
  note(unread: readonly Unread[], now: number): void {
    const before = this.#since;
    this.#since = new Map(
      unread.map((one) => {
        const known = before.get(nameOf(one));
        const isSame = known && known.stored?.mark === one.stored?.mark;
        return [nameOf(one), { ...one, since: isSame ? known.since : now }];
      }),
    );
  }

  /** Nothing is known while Kafka or the database does not answer: nobody can mark. */
  forget(): void {
    this.#since = new Map();
  }

  /** Those that no member which writes here has read since a time. */
  unreadSince(time: number): (Unread & { since: number })[] {
    return this.#since
      .values()
      .filter(({ since }) => since <= time)
      .toArray();
  }
}
