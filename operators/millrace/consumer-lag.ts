import type { EventServiceSpec } from '#platform/declaration-schema';
import { createKafka } from '#platform/kafka';
import type { Kafka, KafkaAdmin, KafkaConnection } from '#platform/kafka';
import type { Logger } from '#platform/telemetry';
import { hash } from '#runtime/compare.ts';
import type { KubeObject } from '#runtime/objects.ts';
import { kafkas } from './api/kinds.ts';
import { readSecret } from './database-pools.ts';
import type { ControllerContext } from './controller-context.ts';
import { connectionTo } from './external-kafka/connection.ts';
import { KafkaClients } from './kafka-clients.ts';
import { isManaged, managedBy, manager, ownUserPrefix } from './labels.ts';
import { applyOwn } from './own-objects.ts';
import { SilentServers } from './silent-servers.ts';
import type { KafkaUser } from './strimzi.ts';

/** A Kafka of Strimzi, as far as it says how to connect. */
interface KafkaCluster extends KubeObject {
  spec?: { kafka?: { listeners?: { name: string; authentication?: { type: string } }[] } };
  status?: { listeners?: { name: string; bootstrapServers?: string; certificates?: string[] }[] };
}

/** The KafkaUser of the operator itself: it may describe topics, and neither read nor write. */
function operatorUser(namespace: string, cluster: string): KafkaUser {
  const topics = { resource: { type: 'topic', name: '*', patternType: 'literal' }, operations: ['Describe'] };
  return {
    apiVersion: 'kafka.strimzi.io/v1',
    kind: 'KafkaUser',
    metadata: { namespace, name: ownUserPrefix + cluster, labels: { ...managedBy, 'strimzi.io/cluster': cluster } },
    spec: {
      authentication: { type: 'scram-sha-512' },
      authorization: { type: 'simple', acls: [topics] },
    },
  };
}

/** The connection for a user with a password. @returns undefined while the cluster has no listener for that */
export function connectionOf(
  cluster: KafkaCluster | undefined,
  sasl: { username: string; password: string },
): KafkaConnection | undefined {
  const scramListeners = (cluster?.spec?.kafka?.listeners ?? []).filter(
    ({ authentication }) => authentication?.type === 'scram-sha-512',
  );
  const listener = cluster?.status?.listeners?.find(({ name }) => scramListeners.some((one) => one.name === name));
  if (!listener?.bootstrapServers) return undefined;
  const ca = listener.certificates?.join('\n');
  return { brokers: listener.bootstrapServers.split(','), sasl, ...(ca ? { tls: { ca } } : {}) };
}

interface ConsumerLag {
  /** events that the group has not handled yet */
  lag: number;
  /** how many partitions each topic has */
  partitions: ReadonlyMap<string, number>;
}

/** The next offset that a group handles in a partition. */
export interface GroupOffset {
  topic: string;
  partition: number;
  next: bigint;
}

/** How long Kafka may take to say how long a topic is, in milliseconds, and in this time how long a partition may have no leader. */
const answerMs = 5_000;
const leaderWithinMs = 2_000;

/** Reads the lag of consumer groups, with a connection to each Kafka cluster. */
export class ConsumerLagReader {
  readonly #context: ControllerContext;
  readonly #clients: KafkaClients<Kafka>;
  readonly #silent: SilentServers;

  constructor(context: ControllerContext, log: Logger) {
    this.#context = context;
    this.#silent = new SilentServers(context.clock);
    this.#clients = new KafkaClients(
      (connection) => createKafka({ ...connection, clientId: manager, log, leaderWithinMs }),
      {
        clock: context.clock,
        log,
      },
    );
  }

  /**
   * @param offsets those that the group keeps in its database: what it commits to Kafka may be older
   * @returns undefined while the operator cannot connect to Kafka
   */
  async read(
    { namespace, kafka: { cluster, external } }: { namespace: string; kafka: NonNullable<EventServiceSpec['kafka']> },
    topics: readonly string[],
    offsets: readonly GroupOffset[],
    signal: AbortSignal,
  ): Promise<ConsumerLag | undefined> {
    const connection = external
      ? await connectionTo(this.#context.api, namespace, external, signal)
      : await this.#connectionTo(namespace, cluster ?? '', signal);
    if (!connection) return undefined;
    const kafka = this.#clients.get(`${namespace} ${hash([cluster, external])}`, connection);
    const limit = { ms: answerMs, whose: 'Kafka', signal };
    const watermarksOf = (topic: string) =>
      this.#silent.ask(connection.brokers.join(), () => kafka.admin.knownWatermarks(topic), limit);
    return await lagIn(watermarksOf, topics, offsets);
  }

  async close(): Promise<void> {
    await this.#clients.close();
  }

  async #connectionTo(namespace: string, cluster: string, signal: AbortSignal): Promise<KafkaConnection | undefined> {
    const { api, kafkaUsers: users } = this.#context;
    const user = await applyOwn(this.#context, users, operatorUser(namespace, cluster), signal);
    if (!isManaged(user)) return undefined;
    const username = user.metadata.name;
    const secret = await readSecret(api, namespace, username, signal);
    const resource = await api.get<KafkaCluster>(kafkas, namespace, cluster, { signal });
    const connection = connectionOf(resource, { username, password: secret?.['password'] ?? '' });
    return secret?.['password'] ? connection : undefined;
  }
}

/** Sums up how far a group is behind. @param offsets the next one of each partition that has one */
async function lagIn(
  watermarksOf: KafkaAdmin['knownWatermarks'],
  topics: readonly string[],
  offsets: readonly GroupOffset[],
): Promise<ConsumerLag> {
  const nexts = new Map(offsets.map(({ topic, partition, next }) => [`${topic}/${partition}`, next]));
  const partitions = new Map<string, number>();
  let lag = 0n;
  for (const topic of topics) {
    const watermarks = await watermarksOf(topic);
    partitions.set(topic, watermarks.size);
    for (const [partition, marks] of watermarks) {
      if (!marks) continue; // it has no leader, and nobody can read it
      const { low, high } = marks;
      const from = nexts.get(`${topic}/${partition}`) ?? low;
      lag += high - (from < low ? low : from > high ? high : from);
    }
  }
  return { lag: Number(lag), partitions };
}
