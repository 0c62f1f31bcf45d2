import type { TopicPartition } from '#platform/kafka';
import type { Pool } from '#platform/postgres';
import { lockedOffsets } from './offsets.ts';

/** The SQLSTATEs of a statement that has waited as long as it may. */
export const waitedTooLong: ReadonlySet<string> = new Set(['57014', '55P03']);

/**
 * The partitions whose offset another session holds, if a statement has taken too long: most likely the session of an earlier
 * attempt, which hangs in the server. They wait, and the other partitions go on.
 * @param error why the transaction that moves these offsets has failed
 */
export async function heldOffsets<T extends TopicPartition>(
  pool: Pool,
  group: string,
  partitions: readonly T[],
  error: unknown,
): Promise<T[]> {
  const { code = '' } = error as { code?: string };
  if (!waitedTooLong.has(code) && code !== 'ERR_DATABASE_SILENT') return [];
  return lockedOffsets(pool, group, partitions).catch(() => []);
}
