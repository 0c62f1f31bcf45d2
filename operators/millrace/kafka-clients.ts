import type { KafkaConnection } from '#platform/kafka';
import type { Clock } from '#runtime/clock.ts';
import { hash } from '#runtime/compare.ts';

const maxClients = 1_000;
/** How long a client stays that nobody uses, in milliseconds: longer than the time between two visits of the operator. */
const idleMs = 5 * 60_000;

interface Known<Client> {
  settings: string;
  client: Client;
  usedAt: number;
}

/**
 * A client of each Kafka, which is replaced when the settings of its connection change, as when a password does. One goes that nobody has
 * used for five minutes, and of more than 1,000 the one that was used longest ago.
 */
export class KafkaClients<Client extends { close(): Promise<void> }> {
  readonly #create: (connection: KafkaConnection) => Client;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #clients = new Map<string, Known<Client>>();

  constructor(create: (connection: KafkaConnection) => Client, clock: Pick<Clock, 'now'>) {
    this.#create = create;
    this.#clock = clock;
  }

  /** @param key of the Kafka */
  async get(key: string, connection: KafkaConnection): Promise<Client> {
    const settings = hash(connection);
    const known = this.#clients.get(key);
    const isSame = known?.settings === settings;
    const client = isSame ? known.client : this.#create(connection);
    this.#clients.delete(key); // the last one of the Map is the one used last
    this.#clients.set(key, { settings, client, usedAt: this.#clock.now() });
    if (!isSame) await known?.client.close();
    await this.#closeUnused();
    return client;
  }

  async #closeUnused(): Promise<void> {
    for (const [key, { client, usedAt }] of this.#clients) {
      if (this.#clients.size <= maxClients && this.#clock.now() - usedAt < idleMs) return;
      this.#clients.delete(key);
      await client.close();
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#clients.values()].map(({ client }) => client.close()));
  }
}
