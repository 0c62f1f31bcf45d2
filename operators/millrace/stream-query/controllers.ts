import { Controller, labelsChanged, specChanged } from '#runtime/controller.ts';
import type { RuntimeMetrics } from '#runtime/metrics.ts';
import { isDeleting } from '#runtime/finalizers.ts';
import { keyOf } from '#runtime/objects.ts';
import type { KubeObject } from '#runtime/objects.ts';
import type { Result } from '#runtime/queue.ts';
import type { StreamQuery, StreamQueryStatus } from '../api/stream-query.ts';
import { streamQueries } from '../api/kinds.ts';
import { topicResourceName } from '../kafka-topic.ts';
import type { ControllerContext } from '../controller-context.ts';
import { byNamespace } from '../informers.ts';
import { isOfQueries } from '../labels.ts';
import { StatusReporter } from '../report.ts';
import { strimziMissing, strimziReadiness } from '../strimzi.ts';
import type { StrimziReadiness } from '../strimzi.ts';
import { QueryStatusCache } from './query-statuses.ts';
import type { FetchQueryStatuses } from './query-statuses.ts';
import { ValidationCache } from './validation-cache.ts';
import { isTopologyChange, topologyOf } from './topology.ts';
import type { Topology } from './topology.ts';
import { fileIn } from './config-map.ts';
import { ExternalTopics } from './external-topics.ts';
import { QueryFiles } from './query-files.ts';
import type { QueryPlaces } from './query-files.ts';
import { conditionsOf, statusFieldsOf } from './status.ts';

/** The time between two fetches: longer for many queries, as each of them may cause a write of a status. */
const fetchEveryMs = (queries: number) => Math.max(10_000, queries * 20);

const namespaceOf = ({ metadata }: Pick<KubeObject, 'metadata'>) => [metadata.namespace ?? ''];

/**
 * The controllers of StreamQueries. `stream-query` writes the status of a query, `query-files` the ConfigMaps and the KafkaTopics of
 * a namespace, `query-topics` keeps its topics in a Kafka that is not Strimzi's, and `query-reports` fetches from analytics how the queries
 * of a namespace are doing.
 */
export class StreamQueryControllers {
  readonly #context: ControllerContext;
  readonly #fetchStatuses: FetchQueryStatuses;
  readonly #reporter: StatusReporter<StreamQueryStatus>;
  readonly #validations = new ValidationCache();
  readonly #statuses = new QueryStatusCache();
  /** the topology of each namespace, until a service of it changes */
  readonly #topologies = new Map<string, Topology>();
  /** why a ConfigMap or a KafkaTopic of a namespace cannot be written */
  readonly #fileFailures = new Map<string, Error>();
  /** why the topics of a namespace in a Kafka that is not Strimzi's cannot be kept */
  readonly #topicFailures = new Map<string, Error>();
  readonly controllers: readonly Controller[];
  readonly #queries: Controller;
  readonly #files: QueryFiles;

  constructor(
    context: ControllerContext,
    fetchStatuses: FetchQueryStatuses,
    metrics: RuntimeMetrics,
    places: QueryPlaces,
  ) {
    this.#context = context;
    const external = new ExternalTopics(places.externalKafka, context.clock);
    this.#files = new QueryFiles(context, this.#validations, places, external, {
      changed: (namespace, names) => {
        for (const name of names) this.#queries.enqueue(`${namespace}/${name}`);
      },
      wanted: (namespace) => outside.enqueue(namespace),
    });
    this.#fetchStatuses = fetchStatuses;
    this.#reporter = new StatusReporter(context, streamQueries, metrics);
    const { streamQueries: queries, eventServices, configMaps: maps, kafkaTopics: topics, clock, log } = context;
    const shared = { clock, log, metrics };
    eventServices.onChange((change) => {
      if (!specChanged(change)) return;
      const { namespace = '' } = (change.after ?? change.before)!.metadata;
      this.#topologies.delete(namespace);
      if (isTopologyChange(change)) this.#lookAtAll(namespace);
    });
    this.#queries = new Controller({
      ...shared,
      name: 'stream-query',
      reconcile: (key, signal) => this.#reconcileQuery(key, signal),
      onFailure: (key, error, signal) => this.#reporter.fail(queries.store.get(key), error, signal),
    })
      .for(queries, specChanged)
      .watches(topics, (topic) => this.#emittersOf(topic));
    const files = new Controller({
      ...shared,
      name: 'query-files',
      reconcile: async (key, signal) => {
        const result = await this.#files.pass(key, this.#topology(key), signal);
        this.#tellOf(this.#fileFailures, key, undefined);
        return result;
      },
      onFailure: async (key, error) => this.#tellOf(this.#fileFailures, key, error as Error),
    })
      .watches(queries, namespaceOf, specChanged)
      .watches(eventServices, namespaceOf, specChanged)
      .watches(maps, namespaceOf)
      .watches(
        topics,
        (topic) => (isOfQueries(topic) ? namespaceOf(topic) : []),
        (change) => specChanged(change) || labelsChanged(change),
      )
      .resyncs(() => {
        this.#files.clear();
        for (const namespace of this.#topicFailures.keys()) this.#tellOf(this.#topicFailures, namespace, undefined);
        return this.#namespaces();
      });
    topics.onAppearance(() => {
      for (const namespace of this.#namespaces()) files.enqueue(namespace, { urgent: false });
    });
    const outside = new Controller({
      ...shared,
      name: 'query-topics',
      reconcile: async (key, signal) => {
        const { isChanged, result } = await external.keep(key, signal);
        this.#tellOf(this.#topicFailures, key, undefined);
        if (isChanged) files.enqueue(key);
        return result;
      },
      onFailure: async (key, error) => this.#tellOf(this.#topicFailures, key, error as Error),
    });
    const reports = new Controller({
      ...shared,
      name: 'query-reports',
      reconcile: (key, signal) => this.#reconcileReports(key, signal),
    })
      .watches(eventServices, namespaceOf, specChanged)
      .resyncs(() => this.#namespaces());
    this.controllers = [this.#queries, files, outside, reports];
  }

  #namespaces(): Set<string> {
    const { eventServices, streamQueries: queries } = this.#context;
    return new Set([...eventServices.store.values(), ...queries.store.values()].flatMap(namespaceOf));
  }

  #emittersOf(topic: KubeObject): string[] {
    const { namespace = '', name } = topic.metadata;
    return this.#context.streamQueries.store
      .by(byNamespace, namespace)
      .filter(({ spec }) => spec.emit && topicResourceName(spec.emit.to) === name)
      .map(keyOf);
  }

  #topology(namespace: string): Topology {
    const known = this.#topologies.get(namespace);
    if (known) return known;
    const topology = topologyOf(this.#context.eventServices.store.by(byNamespace, namespace));
    this.#topologies.set(namespace, topology);
    return topology;
  }

  /** Looks at every query of a namespace, when nothing else is to be done: there may be thousands of them. */
  #lookAtAll(namespace: string): void {
    for (const query of this.#context.streamQueries.store.by(byNamespace, namespace)) {
      this.#queries.enqueue(keyOf(query), { urgent: false });
    }
  }

  async #reconcileQuery(key: string, signal: AbortSignal): Promise<Result | void> {
    const { streamQueries: queries } = this.#context;
    const query = queries.store.get(key);
    if (!query) {
      this.#validations.forget(key);
      this.#reporter.forget(key);
    }
    if (!query || isDeleting(query)) return;
    const { namespace = '', name } = query.metadata;
    const topology = this.#topology(namespace);
    const validation = this.#validations.validate(query, topology);
    const status = this.#statuses.get(namespace, name);
    const conditions = conditionsOf({
      validation,
      filesFailure: this.#fileFailures.get(namespace) ?? this.#topicFailureOf(query, topology),
      hasRunner: topology.runner !== undefined,
      isOverflow: this.#files.passed(namespace).overflow.has(name),
      hasFile: fileIn(this.#files.maps(namespace), name) !== undefined,
      topic: this.#topicOf(query, topology),
      status,
      reachable: status !== undefined || this.#statuses.isReachable(namespace),
    });
    const fields = statusFieldsOf(query.status, status);
    return { requeueAfterMs: await this.#reporter.report(query, { conditions, fields }, signal) };
  }

  /** Lets the queries of a namespace say why they are not passed on. @param error undefined where they are */
  #tellOf(failures: Map<string, Error>, namespace: string, error: Error | undefined): void {
    const before = failures.get(namespace);
    if (error) failures.set(namespace, error);
    else failures.delete(namespace);
    if (before?.message === error?.message) return;
    this.#lookAtAll(namespace);
  }

  /** Why the topic of a query cannot be kept in a Kafka that is not Strimzi's. */
  #topicFailureOf(
    { metadata: { namespace = '' }, spec: { emit } }: StreamQuery,
    { topics, runner }: Topology,
  ): Error | undefined {
    const isThere = runner?.spec.kafka?.external && emit && !topics.known.has(emit.to);
    return isThere ? this.#topicFailures.get(namespace) : undefined;
  }

  /** Whether the topic of a query is there that no service declares. */
  #topicOf({ metadata: { namespace = '' }, spec: { emit } }: StreamQuery, topology: Topology): StrimziReadiness {
    if (!emit || topology.topics.known.has(emit.to)) return { ready: true, message: '' };
    const { kafkaTopics: topics } = this.#context;
    const kept = this.#files.passed(namespace).topics.get(emit.to);
    if (kept?.failure !== undefined) return kept;
    const { cluster, external } = topology.runner?.spec.kafka ?? {};
    if (external) return kept ?? { ready: false, message: `the topic ${emit.to} is not there yet` };
    if (topology.runner && cluster === undefined) {
      const message = `spec.kafka of ${topology.runner.metadata.name} is missing: nobody makes the topic ${emit.to}`;
      return { ready: false, failure: 'NoKafka', message };
    }
    return strimziMissing(topics) ?? strimziReadiness(topics.store.get(`${namespace}/${topicResourceName(emit.to)}`));
  }

  async #reconcileReports(namespace: string, signal: AbortSignal): Promise<Result | void> {
    const { streamQueries: queries, log } = this.#context;
    const { runner } = this.#topology(namespace);
    const count = queries.store.by(byNamespace, namespace).length;
    if (!runner) {
      this.#statuses.delete(namespace);
      return;
    }
    try {
      const changed = this.#statuses.set(namespace, await this.#fetchStatuses(runner, signal));
      for (const name of changed) this.#queries.enqueue(`${namespace}/${name}`, { urgent: false });
    } catch (error) {
      if (signal.aborted) throw error;
      log.debug({ err: error, namespace }, 'analytics does not answer');
      if (this.#statuses.recordFailure(namespace)) this.#lookAtAll(namespace);
    }
    return { requeueAfterMs: fetchEveryMs(count) };
  }
}
