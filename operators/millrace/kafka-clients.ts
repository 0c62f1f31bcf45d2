import type { KafkaConnection } from '#platform/kafka';
import { hash } from '#runtime/compare.ts';

const maxClients = 64;

/**
 * A client of each Kafka, which is replaced when the settings of its connection change, as when a password does. Of more than 64, the one
 * goes that was used longest ago.
 */
export class KafkaClients<Client extends { close(): Promise<void> }> {
  readonly #create: (connection: KafkaConnection) => Client;
  readonly #clients = new Map<string, { settings: string; client: Client }>();

  constructor(create: (connection: KafkaConnection) => Client) {
    this.#create = create;
  }

  /** @param key of the Kafka */
  async get(key: string, connection: KafkaConnection): Promise<Client> {
    const settings = hash(connection);
    const known = this.#clients.get(key);
    this.#clients.delete(key); // the last one of the Map is the one used last
    if (known?.settings === settings) {
      this.#clients.set(key, known);
      return known.client;
    }
    const client = this.#create(connection);
    this.#clients.set(key, { settings, client });
    await known?.client.close();
    const [oldest] = this.#clients;
    if (this.#clients.size > maxClients && oldest) {
      this.#clients.delete(oldest[0]);
      await oldest[1].client.close();
    }
    return client;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#clients.values()].map(({ client }) => client.close()));
  }
}
