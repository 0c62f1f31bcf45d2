import { createKafka } from '#platform/kafka';
import type { Kafka, KafkaConnection } from '#platform/kafka';
import type { Logger } from '#platform/telemetry';
import { hash } from '#runtime/compare.ts';
import type { KubeObject } from '#runtime/objects.ts';
import { kafkaUsers, kafkas } from './api/kinds.ts';
import { readSecret } from './databases.ts';
import type { ControllerContext } from './controller-context.ts';
import { managedBy, manager } from './labels.ts';
import type { KafkaUser } from './strimzi.ts';

/** A Strimzi Kafka, as far as it says how it is reached. */
export interface KafkaCluster extends KubeObject {
  spec?: { kafka?: { listeners?: { name: string; authentication?: { type: string } }[] } };
  status?: { listeners?: { name: string; bootstrapServers?: string; certificates?: string[] }[] };
}

/** The KafkaUser with which the operator looks at topics: it may describe, and neither read nor write. */
export function observerOf(namespace: string, cluster: string): KafkaUser {
  const topics = { resource: { type: 'topic', name: '*', patternType: 'literal' }, operations: ['Describe'] };
  return {
    apiVersion: 'kafka.strimzi.io/v1',
    kind: 'KafkaUser',
    metadata: { namespace, name: manager, labels: { ...managedBy, 'strimzi.io/cluster': cluster } },
    spec: {
      authentication: { type: 'scram-sha-512' },
      authorization: { type: 'simple', acls: [topics] },
    },
  };
}

/** How a cluster is reached by somebody with a password. @returns undefined while it does not say */
export function connectionOf(
  cluster: KafkaCluster | undefined,
  sasl: { username: string; password: string },
): KafkaConnection | undefined {
  const asking = (cluster?.spec?.kafka?.listeners ?? []).filter(
    ({ authentication }) => authentication?.type === 'scram-sha-512',
  );
  const listener = cluster?.status?.listeners?.find(({ name }) => asking.some((one) => one.name === name));
  if (!listener?.bootstrapServers) return undefined;
  const ca = listener.certificates?.join('\n');
  return { brokers: listener.bootstrapServers.split(','), sasl, ...(ca ? { ca } : {}) };
}

/** How far a group is behind. */
export interface GroupLag {
  /** events that it has not handled yet */
  lag: number;
  partitions: ReadonlyMap<string, number>;
}

/** Where a group goes on in a partition. */
export interface Position {
  topic: string;
  partition: number;
  next: bigint;
}

/** What groups have still to read, by what Kafka has. */
export class Lags {
  readonly #context: ControllerContext;
  readonly #log: Logger;
  readonly #clusters = new Map<string, { settings: string; kafka: Kafka }>();

  constructor(context: ControllerContext, log: Logger) {
    this.#context = context;
    this.#log = log;
  }

  /**
   * @param positions where the group goes on by its own account: what it tells Kafka may be older
   * @returns undefined while Kafka cannot be asked
   */
  async lag(
    place: { namespace: string; cluster: string },
    topics: readonly string[],
    positions: readonly Position[],
    signal: AbortSignal,
  ): Promise<GroupLag | undefined> {
    const kafka = await this.#connect(place.namespace, place.cluster, signal);
    if (!kafka) return undefined;
    const nexts = new Map(positions.map(({ topic, partition, next }) => [`${topic}/${partition}`, next]));
    const partitions = new Map<string, number>();
    let lag = 0n;
    for (const topic of topics) {
      const watermarks = await kafka.admin.watermarks(topic);
      partitions.set(topic, watermarks.size);
      for (const [partition, { low, high }] of watermarks) {
        const from = nexts.get(`${topic}/${partition}`) ?? low;
        lag += high - (from < low ? low : from > high ? high : from);
      }
    }
    return { lag: Number(lag), partitions };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#clusters.values()].map(({ kafka }) => kafka.close()));
  }

  async #connect(namespace: string, cluster: string, signal: AbortSignal): Promise<Kafka | undefined> {
    const { api, applier, kafkaUsers: users } = this.#context;
    await applier.apply(kafkaUsers, observerOf(namespace, cluster), users.store.get(`${namespace}/${manager}`), signal);
    const secret = await readSecret(api, namespace, manager, signal);
    const found = await api.get<KafkaCluster>(kafkas, namespace, cluster, { signal });
    const connection = connectionOf(found, { username: manager, password: secret?.['password'] ?? '' });
    if (!secret?.['password'] || !connection) return undefined;
    const key = `${namespace}/${cluster}`;
    const settings = hash(connection);
    const known = this.#clusters.get(key);
    if (known?.settings === settings) return known.kafka;
    const kafka = createKafka({ ...connection, clientId: manager, log: this.#log });
    this.#clusters.set(key, { settings, kafka });
    await known?.kafka.close();
    return kafka;
  }
}
