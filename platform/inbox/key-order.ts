import { hash } from 'node:crypto';
import type { PoolClient } from '#platform/postgres';
import { rawOf } from './dead-letters.ts';
import type { Item } from './item.ts';
import { nameOf } from './offsets.ts';
import type { PartitionBatch } from './partition-batch.ts';

const lockBlocked = {
  name: 'inbox-blocked-keys',
  text: `SELECT b.topic, b.key_hash FROM millrace.blocked_keys b
    JOIN unnest($2::text[], $3::bytea[]) AS k(topic, key_hash) ON k.topic = b.topic AND k.key_hash = b.key_hash
    WHERE b.consumer_group = $1 ORDER BY b.topic, b.key_hash FOR SHARE OF b`,
};
const findBlockedTopics = {
  name: 'inbox-blocked-topics',
  text: `SELECT t.topic FROM unnest($2::text[]) AS t(topic)
    WHERE EXISTS (SELECT FROM millrace.blocked_keys b WHERE b.consumer_group = $1 AND b.topic = t.topic)`,
};

/** What stands for a key in an index: keys can be longer than PostgreSQL can index. */
export const hashOf = (key: Buffer): Buffer => hash('sha256', key, 'buffer');

/**
 * Keeps the order of each key: while a key has a dead letter, its later messages wait behind it. A replay or a discard in any
 * process ends that, so that the database alone knows the keys, and the writer asks it in its own transaction. Only the owner
 * of a partition adds keys: as long as its batches follow each other, it knows whether a topic has any, and asks nothing if not.
 */
export class KeyOrder {
  readonly #group: string;
  /** the topics that may have blocked keys */
  readonly #topics = new Set<string>();
  /** by partition: the offset up to which this is known */
  readonly #known = new Map<string, bigint>();

  constructor(group: string) {
    this.#group = group;
  }

  /**
   * Says of each message whether it waits, in the transaction that has moved the offsets: another member has then written
   * what it writes. Until the end of the transaction, no replay passes the messages that wait.
   */
  async arrange(tx: PoolClient, batches: readonly PartitionBatch[]): Promise<void> {
    const unsure = batches.filter((batch) => this.#known.get(nameOf(batch)) !== batch.expected);
    if (unsure.length > 0) await this.#look(tx, new Set(unsure.map(({ topic }) => topic)));
    const items = batches.flatMap((batch) => batch.items);
    const failed = new Set(items.flatMap(({ message, failure }) => (failure ? message.topic : [])));
    const keyed = items.filter(({ message: { topic } }) => failed.has(topic) || this.#topics.has(topic));
    for (const item of items) if (item.isWaiting) item.isWaiting = false;
    if (keyed.length === 0) return;
    for (const item of keyed) item.keyHash ??= keyHashOf(item);
    const blocked = await this.#lock(
      tx,
      keyed.filter((item) => item.keyHash && this.#topics.has(item.message.topic)),
    );
    for (const item of keyed) {
      const key = keyNameOf(item);
      if (key === undefined) continue;
      if (blocked.has(key)) item.isWaiting = item.event !== undefined || item.failure !== undefined;
      else if (item.failure) {
        blocked.add(key);
        this.#topics.add(item.message.topic);
      }
    }
  }

  /** The batches are committed. */
  committed(batches: readonly PartitionBatch[]): void {
    for (const batch of batches) this.#known.set(nameOf(batch), batch.next);
  }

  async #look(tx: PoolClient, topics: ReadonlySet<string>): Promise<void> {
    const { rows } = await tx.query<{ topic: string }>({ ...findBlockedTopics, values: [this.#group, [...topics]] });
    for (const topic of topics) this.#topics.delete(topic);
    for (const { topic } of rows) this.#topics.add(topic);
  }

  async #lock(tx: PoolClient, items: readonly Item[]): Promise<Set<string>> {
    const asked = new Map(items.map((item) => [keyNameOf(item)!, item]));
    if (asked.size === 0) return new Set();
    const keys = [...asked.values()];
    const { rows } = await tx.query<{ topic: string; key_hash: Buffer }>({
      ...lockBlocked,
      values: [this.#group, keys.map(({ message }) => message.topic), keys.map(({ keyHash }) => keyHash)],
    });
    if (rows.length === 0) await this.#look(tx, new Set(keys.map(({ message }) => message.topic)));
    return new Set(rows.map(({ topic, key_hash }) => keyName(topic, key_hash)));
  }
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
