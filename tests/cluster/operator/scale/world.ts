import { Informer } from '#runtime/informer.ts';
import type { InformerOptions } from '#runtime/informer.ts';
import { systemClock } from '#runtime/clock.ts';
import type { KubeObject, Resource, ResourceType } from '#runtime/objects.ts';
import { memoryLog } from '#runtime/testing/support.ts';
import type { ConfigMap } from '#runtime/testing/support.ts';
import { eventually } from '#test/eventually.ts';
import { apiVersion } from '../../../../operators/millrace/api/common.ts';
import type { EventService } from '../../../../operators/millrace/api/event-service.ts';
import * as kinds from '../../../../operators/millrace/api/kinds.ts';
import type { StreamQuery } from '../../../../operators/millrace/api/stream-query.ts';
import { managedSelector } from '../../../../operators/millrace/labels.ts';
import type { KafkaTopic, KafkaUser } from '../../../../operators/millrace/strimzi.ts';
import type { TestNamespace } from '../cluster.ts';

/** How many requests are under way at the same time. */
const parallel = 16;

/** Calls a function for 0, 1, ... `count - 1`. */
export async function forAll(count: number, call: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const work = async () => {
    while (next < count) await call(next++);
  };
  await Promise.all(Array.from({ length: parallel }, work));
}

const runsQueries = {
  streamQueries: true,
  databases: [{ name: 'analytics', schema: 'prisma/analytics' }],
  consumes: [{ group: 'analytics', topics: ['events-0'], database: 'analytics' }],
};

const topicOf = (service: number) => `events-${service}`;

/** What the bench creates and sees in its namespace. */
export class World {
  readonly #home: TestNamespace;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>[] = [];
  readonly queries: Informer<StreamQuery>;
  readonly services: Informer<EventService>;
  readonly topics: Informer<KafkaTopic>;
  readonly #files: Informer<ConfigMap>;

  constructor(home: TestNamespace) {
    this.#home = home;
    const informer = <T extends KubeObject>(type: ResourceType, more: Partial<InformerOptions<T>> = {}) => {
      const metrics = { restarted: () => undefined, objects: () => undefined };
      const { api, namespace } = home;
      const options = { api, type, namespaces: [namespace], clock: systemClock, log: memoryLog(), metrics, ...more };
      const one = new Informer<T>(options);
      this.#running.push(one.run(this.#stop.signal));
      return one;
    };
    this.queries = informer<StreamQuery>(kinds.streamQueries);
    this.services = informer<EventService>(kinds.eventServices);
    this.topics = informer<KafkaTopic>(kinds.kafkaTopics);
    this.#files = informer<ConfigMap>(kinds.configMaps, { labelSelector: managedSelector });
    this.#standInForStrimzi(this.topics);
    this.#standInForStrimzi(informer<KafkaUser>(kinds.kafkaUsers));
  }

  /** Every file of a query, of all ConfigMaps. */
  files(): Record<string, string> {
    return Object.assign({}, ...[...this.#files.store.values()].map(({ data }) => data)) as Record<string, string>;
  }

  /** How large the ConfigMaps are together, in bytes. */
  fileBytes(): number {
    return Buffer.byteLength(JSON.stringify(this.files()));
  }

  query(index: number): StreamQuery {
    return this.queries.store.get(`${this.#home.namespace}/query-${index}`)!;
  }

  createQuery(index: number): Promise<unknown> {
    return this.#create(kinds.streamQueries, `query-${index}`, {
      from: [{ topic: topicOf(0), types: ['order.created'] }],
      where: 'data.status != "CANCELLED"',
      keyBy: 'string(data.userId)',
      window: { tumbling: '1h', grace: '1h', retention: '7d' },
      select: [
        { name: 'revenue', sum: 'data.totalAmount' },
        { name: 'orders', count: true },
      ],
      having: 'orders > 0',
    });
  }

  /** @param port the port of the service; the first one runs the queries */
  createService(index: number, port: number): Promise<unknown> {
    return this.#create(kinds.eventServices, `service-${index}`, {
      port,
      produces: [{ topic: topicOf(index), partitions: 1, retention: '7d' }],
      calls: ['service-0'],
      kafka: { cluster: 'bench' },
      ...(index === 0 ? runsQueries : {}),
    });
  }

  async changeQuery(index: number, having: string): Promise<Resource> {
    return await this.#home.api.patch(kinds.streamQueries, this.#home.namespace, `query-${index}`, {
      spec: { having },
    });
  }

  async changeService(index: number, partitions: number): Promise<void> {
    const spec = { produces: [{ topic: topicOf(index), partitions, retention: '7d' }] };
    await this.#home.api.patch(kinds.eventServices, this.#home.namespace, `service-${index}`, { spec });
  }

  /** Whether a change has come to where it belongs: to the file that analytics reads, and to the status. */
  hasEffect({ metadata }: Resource, having: string): boolean {
    const query = this.queries.store.get(`${this.#home.namespace}/${metadata.name}`);
    const isFile = this.files()[`${metadata.name}.yaml`]?.includes(`having: ${having}\n`) === true;
    return isFile && query?.status?.observedGeneration === metadata.generation;
  }

  partitionsOf(index: number): number | undefined {
    return this.topics.store.get(`${this.#home.namespace}/${topicOf(index)}`)?.spec.partitions;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
  }

  async #create(type: ResourceType, name: string, spec: object): Promise<void> {
    const metadata = { namespace: this.#home.namespace, name };
    await this.#home.api.create<Resource>(type, { apiVersion, kind: type.kind, metadata, spec });
  }

  /** Says of each object of Strimzi that it is ready, as its operators would. */
  #standInForStrimzi<T extends KafkaTopic | KafkaUser>(informer: Informer<T>): void {
    informer.onChange(({ after }) => {
      const { generation, name, namespace } = after?.metadata ?? {};
      if (!after || !name || after.status?.observedGeneration === generation) return;
      const status = { observedGeneration: generation, conditions: [{ type: 'Ready', status: 'True' }] };
      void this.#home.api.patch(informer.type, namespace, name, { status }, { subresource: 'status' }).catch(() => {
        // the bench is over, or has deleted it
      });
    });
  }

  async whenSynced(): Promise<void> {
    await eventually(
      () => this.#files.hasSynced && this.queries.hasSynced && this.topics.hasSynced,
      'the bench knows all',
    );
  }
}
