import { hash } from 'node:crypto';
import type { PoolClient } from '#platform/postgres';
import { rawOf } from './dead-letters.ts';
import type { Item } from './item.ts';
import type { PartitionBatch } from './partition-batch.ts';

const lockBlocked = {
  name: 'inbox-blocked-keys',
  text: `SELECT b.topic, b.key_hash FROM millrace.blocked_keys b
    JOIN unnest($2::text[], $3::bytea[]) AS k(topic, key_hash) ON k.topic = b.topic AND k.key_hash = b.key_hash
    WHERE b.consumer_group = $1 ORDER BY b.topic, b.key_hash FOR SHARE OF b`,
};

/** What stands for a key in an index: keys can be longer than PostgreSQL can index. */
export const hashOf = (key: Buffer): Buffer => hash('sha256', key, 'buffer');

/**
 * Keeps the order of each key: while a key has a dead letter, its later messages wait behind it. It says of each message whether it
 * waits, in the transaction that has moved the offsets: another member has then written what it writes. Until the end of the
 * transaction, no replay passes the messages that wait. The database alone knows the keys: any member can add some, and a replay or a
 * discard in any process ends that.
 * @param blocked the topics with such keys, as the transaction found them when it moved the offsets
 */
export async function arrangeKeys(
  tx: PoolClient,
  group: string,
  batches: readonly PartitionBatch[],
  blocked: ReadonlySet<string>,
): Promise<void> {
  const items = batches.flatMap((batch) => batch.items);
  const failed = new Set(items.flatMap(({ message, failure }) => (failure ? message.topic : [])));
  const keyed = items.filter(({ message: { topic } }) => failed.has(topic) || blocked.has(topic));
  for (const item of items) if (item.isWaiting) item.isWaiting = false;
  if (keyed.length === 0) return;
  for (const item of keyed) item.keyHash ??= keyHashOf(item);
  const keys = await lock(
    tx,
    group,
    keyed.filter((item) => item.keyHash && blocked.has(item.message.topic)),
  );
  for (const item of keyed) {
    const key = keyNameOf(item);
    if (key === undefined) continue;
    if (keys.has(key)) item.isWaiting = item.event !== undefined || item.failure !== undefined;
    else if (item.failure) keys.add(key);
  }
}

async function lock(tx: PoolClient, group: string, items: readonly Item[]): Promise<Set<string>> {
  const asked = new Map(items.map((item) => [keyNameOf(item)!, item]));
  if (asked.size === 0) return new Set();
  const keys = [...asked.values()];
  const { rows } = await tx.query<{ topic: string; key_hash: Buffer }>({
    ...lockBlocked,
    values: [group, keys.map(({ message }) => message.topic), keys.map(({ keyHash }) => keyHash)],
  });
  return new Set(rows.map(({ topic, key_hash }) => keyName(topic, key_hash)));
}

/** The name of a key among those of a group. */
export const keyName = (topic: string, keyHash: Buffer): string => `${topic}/${keyHash.toString('base64')}`;

function keyHashOf({ message }: Item): Buffer | undefined {
  const { key } = rawOf(message);
  return key === null ? undefined : hashOf(key);
}

function keyNameOf({ message, keyHash }: Item): string | undefined {
  return keyHash && keyName(message.topic, keyHash);
}
