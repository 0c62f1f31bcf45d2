import type { KafkaConnection } from '#platform/kafka';
import type { Clock } from '#runtime/clock.ts';
import { hash } from '#runtime/compare.ts';
import type { Log } from '#runtime/log.ts';

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
 * used for five minutes, and of more than 1,000 the one that was used longest ago. Nobody waits for one to be closed but who closes all.
 */
export class KafkaClients<Client extends { close(): Promise<void> }> {
  readonly #create: (connection: KafkaConnection) => Client;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #log: Pick<Log, 'warn'>;
  readonly #clients = new Map<string, Known<Client>>();
  readonly #closing = new Set<Promise<void>>();

  constructor(
    create: (connection: KafkaConnection) => Client,
    { clock, log }: { clock: Pick<Clock, 'now'>; log: Pick<Log, 'warn'> },
  ) {
    this.#create = create;
    this.#clock = clock;
    this.#log = log;
  }

  /** @param key of the Kafka */
  get(key: string, connection: KafkaConnection): Client {
    const settings = hash(connection);
    const known = this.#clients.get(key);
    const isSame = known?.settings === settings;
    const client = isSame ? known.client : this.#create(connection);
    this.#clients.delete(key); // the last one of the Map is the one used last
    this.#clients.set(key, { settings, client, usedAt: this.#clock.now() });
    if (known && !isSame) this.#discard(key, known.client);
    this.#discardUnused();
    return client;
  }

  #discardUnused(): void {
    for (const [key, { client, usedAt }] of this.#clients) {
      if (this.#clients.size <= maxClients && this.#clock.now() - usedAt < idleMs) return;
      this.#clients.delete(key);
      this.#discard(key, client);
    }
  }

  #discard(key: string, client: Client): void {
    const closed = client
      .close()
      .catch((error: unknown) => this.#log.warn({ err: error, kafka: key }, 'a client of Kafka cannot be closed'))
      .finally(() => this.#closing.delete(closed));
    this.#closing.add(closed);
  }

  /** Closes all clients; an error is logged. */
  async close(): Promise<void> {
    for (const [key, { client }] of this.#clients) this.#discard(key, client);
    this.#clients.clear();
    await Promise.all(this.#closing);
  }
}
