import { Controller, specChanged } from '#runtime/controller.ts';
import type { RuntimeMetrics } from '#runtime/metrics.ts';
import { hash } from '#runtime/compare.ts';
import { isDeleting } from '#runtime/finalizers.ts';
import { keyOf } from '#runtime/objects.ts';
import type { KubeObject } from '#runtime/objects.ts';
import type { Result } from '#runtime/queue.ts';
import { inTurns } from '#runtime/turns.ts';
import type { StreamQuery, StreamQueryStatus } from '../api/stream-query.ts';
import { configMaps, streamQueries } from '../api/kinds.ts';
import { topicResourceName } from '../kafka-topic.ts';
import type { ControllerContext } from '../controller-context.ts';
import { OperatorError } from '../errors.ts';
import type { ExternalKafka } from '../external-kafka/external-kafka.ts';
import { recheckMs, retryMs } from '../external-kafka/findings.ts';
import { isAway } from '../external-kafka/problem.ts';
import { byNamespace } from '../informers.ts';
import { handOverCommand, isManaged } from '../labels.ts';
import { applyOwn } from '../own-objects.ts';
import { StatusReporter } from '../report.ts';
import { strimziMissing, strimziReadiness } from '../strimzi.ts';
import type { StrimziReadiness } from '../strimzi.ts';
import { QueryStatusCache } from './query-statuses.ts';
import type { FetchQueryStatuses } from './query-statuses.ts';
import { ValidationCache } from './validation-cache.ts';
import { emittedTopic, isTopologyChange, topologyOf, undeclaredTopics } from './topology.ts';
import type { Topology } from './topology.ts';
import { configMapNames, configMapOf, hasFile, queryFiles } from './config-map.ts';
import { conditionsOf, statusFieldsOf } from './status.ts';
import { keepQueryTopics } from './topics.ts';

/** The time between two fetches: longer for many queries, as each of them may cause a write of a status. */
const fetchEveryMs = (queries: number) => Math.max(10_000, queries * 20);

/** The time until topics are created, after the kind of topics has appeared. */
const absentMs = 10_000;

const configMapTaken = (taken: KubeObject) =>
  new OperatorError(
    'ERR_OPERATOR_CONFIG_MAP_TAKEN',
    `the ConfigMap ${taken.metadata.name} exists, and Millrace has not made it: delete it, or hand it over with: ` +
      handOverCommand(configMaps, taken, {}),
  );

const namespaceOf = ({ metadata }: Pick<KubeObject, 'metadata'>) => [metadata.namespace ?? ''];

/**
 * The controllers of StreamQueries. `stream-query` writes the status of a query, `query-files` the ConfigMaps and the topics of
 * a namespace, and `query-reports` fetches from analytics how the queries of a namespace are doing.
 */
export class StreamQueryControllers {
  readonly #context: ControllerContext;
  readonly #externalKafka: ExternalKafka;
  readonly #fetchStatuses: FetchQueryStatuses;
  readonly #reporter: StatusReporter<StreamQueryStatus>;
  readonly #validations = new ValidationCache();
  readonly #statuses = new QueryStatusCache();
  /** the topology of each namespace, until a service of it changes */
  readonly #topologies = new Map<string, Topology>();
  /** the queries of a namespace that do not fit into the ConfigMaps */
  readonly #overflow = new Map<string, ReadonlySet<string>>();
  /** topics of a namespace that only queries declare: in a Kafka of Strimzi those that are another's, in another Kafka all */
  readonly #topics = new Map<string, ReadonlyMap<string, StrimziReadiness>>();
  /** why a ConfigMap or a topic of a namespace cannot be written */
  readonly #fileFailures = new Map<string, Error>();
  readonly controllers: readonly Controller[];
  readonly #queries: Controller;

  constructor(
    context: ControllerContext,
    fetchStatuses: FetchQueryStatuses,
    metrics: RuntimeMetrics,
    externalKafka: ExternalKafka,
  ) {
    this.#context = context;
    this.#externalKafka = externalKafka;
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
        const result = await this.#reconcileFiles(key, signal);
        this.#tellOfFiles(key, undefined);
        return topics.isAbsent ? { requeueAfterMs: result.requeueAfterMs ?? absentMs } : result;
      },
      onFailure: async (key, error) => this.#tellOfFiles(key, error as Error),
    })
      .watches(queries, namespaceOf, specChanged)
      .watches(eventServices, namespaceOf, specChanged)
      .watches(maps, namespaceOf)
      .resyncs(() => this.#namespaces());
    const reports = new Controller({
      ...shared,
      name: 'query-reports',
      reconcile: (key, signal) => this.#reconcileReports(key, signal),
    })
      .watches(eventServices, namespaceOf, specChanged)
      .resyncs(() => this.#namespaces());
    this.controllers = [this.#queries, files, reports];
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

  #mapsOf(namespace: string) {
    const { store } = this.#context.configMaps;
    return configMapNames.map((name) => store.get(`${namespace}/${name}`));
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
      filesFailure: this.#fileFailures.get(namespace),
      hasRunner: topology.runner !== undefined,
      isOverflow: this.#overflow.get(namespace)?.has(name) ?? false,
      hasFile: hasFile(this.#mapsOf(namespace), name),
      topic: this.#topicOf(query, topology),
      status,
      reachable: status !== undefined || this.#statuses.isReachable(namespace),
    });
    const fields = statusFieldsOf(query.status, status);
    return { requeueAfterMs: await this.#reporter.report(query, { conditions, fields }, signal) };
  }

  async #reconcileFiles(namespace: string, signal: AbortSignal): Promise<Result> {
    const { streamQueries: queries, configMaps: maps } = this.#context;
    const all = queries.store.by(byNamespace, namespace).filter((query) => !isDeleting(query));
    const topology = this.#topology(namespace);
    const observed = this.#mapsOf(namespace);
    if (!topology.runner && !observed.some(Boolean)) return {};
    const texts = new Map<string, string | undefined>();
    await inTurns(
      all,
      (query) => texts.set(query.metadata.name, this.#validations.validate(query, topology).text),
      this.#context.clock,
      signal,
    );
    const before = observed.map((map) => map?.data);
    const { data, overflow } = queryFiles(texts, before);
    const valid = all.filter(({ metadata }) => texts.get(metadata.name) !== undefined);
    const requeueAfterMs = await this.#createTopics(namespace, valid, topology, signal);
    for (const [place, name] of configMapNames.entries()) {
      const isNeeded = place === 0 || observed[place] !== undefined || Object.keys(data[place]!).length > 0;
      if (!isNeeded) continue;
      const map = await applyOwn(this.#context, maps, configMapOf(namespace, name, data[place]!), signal);
      if (!isManaged(map)) throw configMapTaken(map);
    }
    const overflowed = this.#overflow.get(namespace) ?? new Set();
    this.#overflow.set(namespace, overflow);
    for (const name of overflow.symmetricDifference(overflowed)) this.#queries.enqueue(`${namespace}/${name}`);
    return { requeueAfterMs };
  }

  /** Lets the queries of a namespace say why they are not passed on. @param error undefined where they are */
  #tellOfFiles(namespace: string, error: Error | undefined): void {
    const before = this.#fileFailures.get(namespace);
    if (error) this.#fileFailures.set(namespace, error);
    else this.#fileFailures.delete(namespace);
    if (before?.message === error?.message) return;
    this.#lookAtAll(namespace);
  }

  /** @returns when to look at the topics again; undefined where Strimzi does it */
  async #createTopics(
    namespace: string,
    queries: readonly StreamQuery[],
    topology: Topology,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const { cluster, external, replicas } = topology.runner?.spec.kafka ?? {};
    const undeclared = undeclaredTopics(queries, topology.topics);
    let after = new Map<string, StrimziReadiness>();
    if (external) after = await this.#keepExternalTopics(namespace, { external, replicas }, undeclared.keys(), signal);
    else if (cluster !== undefined && !this.#context.kafkaTopics.isAbsent)
      after = await keepQueryTopics(this.#context, { namespace, cluster, replicas }, undeclared, signal);
    const before = this.#topics.get(namespace);
    this.#topics.set(namespace, after);
    if (hash([...after]) !== hash([...(before ?? [])])) this.#lookAtAll(namespace);
    if (after.size === 0) return undefined;
    return [...after.values()].every(({ ready }) => ready) ? recheckMs : retryMs;
  }

  async #keepExternalTopics(
    namespace: string,
    kafka: Parameters<ExternalKafka['emittedTopic']>[1],
    topics: Iterable<string>,
    signal: AbortSignal,
  ): Promise<Map<string, StrimziReadiness>> {
    const after = new Map<string, StrimziReadiness>();
    let away: StrimziReadiness | undefined;
    for (const topic of topics) {
      const found = away ?? (await this.#externalKafka.emittedTopic(namespace, kafka, emittedTopic(topic), signal));
      if (isAway(found.failure)) away = found;
      after.set(topic, found);
    }
    return after;
  }

  /** Whether the topic of a query is there that no service declares. */
  #topicOf({ metadata: { namespace = '' }, spec: { emit } }: StreamQuery, topology: Topology): StrimziReadiness {
    if (!emit || topology.topics.has(emit.to)) return { ready: true, message: '' };
    const kept = this.#topics.get(namespace)?.get(emit.to);
    if (kept) return kept;
    if (!topology.runner?.spec.kafka?.external)
      return (
        strimziMissing(this.#context.kafkaTopics) ??
        strimziReadiness(this.#context.kafkaTopics.store.get(`${namespace}/${topicResourceName(emit.to)}`))
      );
    return { ready: false, message: `the topic ${emit.to} is not there yet` };
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
