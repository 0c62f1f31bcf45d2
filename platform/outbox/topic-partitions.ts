import { hasCode, PlatformError } from '#platform/errors';
import type { PoolClient } from '#platform/postgres';
import type { Logger } from '#platform/telemetry';

/** how long a topic has to be known with fewer partitions until that is true: a producer's knowledge can be old */
const fewerForMs = 60_000;

interface Spread {
  partitions: number;
  held: boolean;
}

/**
 * Over how many partitions a relay spreads the events of each topic. A topic that gets more partitions keeps the number that it
 * had: otherwise the next event of a key could go to another partition, and a consumer could read it before the earlier ones.
 * `spreadTopic` changes the number when the consumers have read everything.
 */
export class TopicPartitions {
  readonly #log: Logger;
  #stored = new Map<string, Spread>();
  /** the topics with partitions that are not used, with their number */
  readonly #reported = new Map<string, number>();
  /** since when topics have fewer partitions than their events were spread over */
  readonly #fewerSince = new Map<string, number>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Reads what has been stored or decided. */
  async follow(session: PoolClient): Promise<void> {
    const { rows } = await session.query<Spread & { topic: string }>({
      name: 'outbox-topics',
      text: `SELECT topic, partitions, coalesce(held_until > clock_timestamp(), false) AS held FROM millrace.outbox_topics`,
    });
    this.#stored = new Map(rows.map(({ topic, ...spread }) => [topic, spread]));
  }

  /**
   * @param present how many partitions the topic has
   * @param now by the clock of `performance.now()`
   * @returns over how many of them, counted from 0, its events are spread
   * @throws {PlatformError} ERR_OUTBOX_HELD while its events have to wait
   */
  async of(session: PoolClient, topic: string, present: number, now = performance.now()): Promise<number> {
    const { partitions, held } = this.#stored.get(topic) ?? (await this.#store(session, topic, present));
    if (held) throw waiting(`the events of ${topic} wait: they are about to be spread over other partitions`);
    if (present < partitions) {
      const since = this.#fewerSince.get(topic) ?? now;
      this.#fewerSince.set(topic, since);
      if (now - since >= fewerForMs) return (await this.#store(session, topic, present)).partitions;
      throw waiting(`${topic} has ${present} partitions, and its events are spread over ${partitions}`);
    }
    this.#fewerSince.delete(topic);
    if (present > partitions && this.#reported.get(topic) !== present) {
      this.#reported.set(topic, present);
      this.#log.warn(
        { topic, partitions, present },
        'the topic has got partitions; its events go on to the former ones, which keeps the order of each key. To use all of ' +
          'them: npm run partitions',
      );
    }
    return partitions;
  }

  async #store(session: PoolClient, topic: string, present: number): Promise<Spread> {
    const { rows } = await session.query<Spread>(
      `INSERT INTO millrace.outbox_topics AS t (topic, partitions) VALUES ($1, $2)
       ON CONFLICT (topic) DO UPDATE SET partitions = least(t.partitions, excluded.partitions)
       RETURNING partitions, coalesce(held_until > clock_timestamp(), false) AS held`,
      [topic, present],
    );
    const [stored] = rows;
    this.#stored.set(topic, stored!);
    return stored!;
  }
}

const waiting = (message: string) => new PlatformError('ERR_OUTBOX_HELD', message);

/** Whether the events of a topic have to wait for a moment, by no fault of Kafka's. */
export function isHeld(error: unknown): error is PlatformError {
  return hasCode(error, 'ERR_OUTBOX_HELD');
}
