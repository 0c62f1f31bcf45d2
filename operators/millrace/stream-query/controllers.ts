import { Controller, specChanged } from '#runtime/controller.ts';
import type { RuntimeMetrics } from '#runtime/metrics.ts';
import { isDeleting } from '#runtime/finalizers.ts';
import { keyOf } from '#runtime/objects.ts';
import type { KubeObject } from '#runtime/objects.ts';
import type { Result } from '#runtime/queue.ts';
import type { StreamQuery } from '../api/stream-query.ts';
import { configMaps, kafkaTopics, streamQueries } from '../api/kinds.ts';
import { kafkaTopicOf, topicResourceName } from '../kafka-topic.ts';
import type { ControllerContext } from '../controller-context.ts';
import { byNamespace } from '../informers.ts';
import { reportStatus } from '../report.ts';
import { strimziReadiness } from '../strimzi.ts';
import { QueryReports } from './analytics.ts';
import type { AskAnalytics } from './analytics.ts';
import { ValidationCache } from './validation-cache.ts';
import { emittedTopic, topologyOf, undeclaredTopics } from './topology.ts';
import type { Topology } from './topology.ts';
import { configMapName, configMapOf, keepsEarlier, queryFiles } from './config-map.ts';
import { conditionsOf, statusFieldsOf } from './status.ts';

/** Asking analytics: at most every 10 s, and less often for many queries, as each may be a write. */
const askEveryMs = (queries: number) => Math.max(10_000, queries * 20);

const namespaceOf = ({ metadata }: Pick<KubeObject, 'metadata'>) => [metadata.namespace ?? ''];

/** The controllers of StreamQueries: of each query's status, of the files of a namespace, and of what analytics says. */
export class StreamQueryControllers {
  readonly #context: ControllerContext;
  readonly #ask: AskAnalytics;
  readonly #validations = new ValidationCache();
  readonly #reports = new QueryReports();
  readonly #leftOut = new Map<string, ReadonlySet<string>>();
  readonly controllers: readonly Controller[];
  readonly #queries: Controller;

  constructor(context: ControllerContext, ask: AskAnalytics, metrics: RuntimeMetrics) {
    this.#context = context;
    this.#ask = ask;
    const { streamQueries: queries, eventServices, configMaps: maps, kafkaTopics: topics, clock, log } = context;
    const shared = { clock, log, metrics };
    const allOf = ({ metadata }: KubeObject) => queries.store.by(byNamespace, metadata.namespace ?? '').map(keyOf);
    this.#queries = new Controller({
      ...shared,
      name: 'stream-query',
      reconcile: (key, signal) => this.#query(key, signal),
    })
      .watches(queries)
      .watchesFor(eventServices, allOf, specChanged)
      .watchesFor(topics, (topic) => this.#emittersOf(topic));
    const files = new Controller({
      ...shared,
      name: 'query-files',
      reconcile: (key, signal) => this.#files(key, signal),
    })
      .watchesFor(queries, namespaceOf, specChanged)
      .watchesFor(eventServices, namespaceOf, specChanged)
      .watchesFor(maps, namespaceOf)
      .resyncs(() => this.#namespaces());
    const analytics = new Controller({
      ...shared,
      name: 'query-reports',
      reconcile: (key, signal) => this.#hear(key, signal),
    })
      .watchesFor(eventServices, namespaceOf, specChanged)
      .resyncs(() => this.#namespaces());
    this.controllers = [this.#queries, files, analytics];
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

  #topology(namespace: string) {
    return topologyOf(this.#context.eventServices.store.by(byNamespace, namespace));
  }

  async #query(key: string, signal: AbortSignal): Promise<void> {
    const { streamQueries: queries, kafkaTopics: topics, configMaps: maps } = this.#context;
    const query = queries.store.get(key);
    if (!query) this.#validations.forget(key);
    if (!query || isDeleting(query)) return;
    const { namespace = '', name } = query.metadata;
    const topology = this.#topology(namespace);
    const { emit } = query.spec;
    const made = emit && !topology.topics.has(emit.to) ? topicResourceName(emit.to) : undefined;
    const validation = this.#validations.validate(query, topology);
    const said = this.#reports.of(namespace, name);
    const conditions = conditionsOf({
      validation,
      hasRunner: topology.runner !== undefined,
      isLeftOut: this.#leftOut.get(namespace)?.has(name) ?? false,
      keepsEarlier: keepsEarlier(name, maps.store.get(`${namespace}/${configMapName}`)),
      topic: made ? strimziReadiness(topics.store.get(`${namespace}/${made}`)) : { ready: true, message: '' },
      report: said,
      reachable: said !== undefined || this.#reports.isReachable(namespace),
    });
    const fields = statusFieldsOf(query.status, said);
    await reportStatus(this.#context, streamQueries, query, { conditions, fields }, signal);
  }

  async #files(namespace: string, signal: AbortSignal): Promise<void> {
    const { streamQueries: queries, configMaps: maps, applier } = this.#context;
    const all = queries.store.by(byNamespace, namespace).filter((query) => !isDeleting(query));
    const topology = this.#topology(namespace);
    const observed = maps.store.get(`${namespace}/${configMapName}`);
    if (!topology.runner && !observed) return;
    const texts = new Map(all.map((query) => [query.metadata.name, this.#validations.validate(query, topology).text]));
    const { data, left } = queryFiles(texts, observed?.data);
    await this.#makeTopics(namespace, all, topology, signal);
    await applier.apply(configMaps, configMapOf(namespace, data), observed, signal);
    const before = this.#leftOut.get(namespace) ?? new Set();
    this.#leftOut.set(namespace, left);
    for (const name of left.symmetricDifference(before)) this.#queries.enqueue(`${namespace}/${name}`);
  }

  async #makeTopics(
    namespace: string,
    queries: readonly StreamQuery[],
    topology: Topology,
    signal: AbortSignal,
  ): Promise<void> {
    const { kafkaTopics: topics, applier } = this.#context;
    const kafka = topology.runner?.spec.kafka;
    if (!kafka) return;
    const valid = queries.filter((query) => this.#validations.validate(query, topology).text !== undefined);
    for (const [topic, madeFor] of undeclaredTopics(valid, topology.topics)) {
      const place = { namespace, cluster: kafka.cluster, replicas: kafka.replicas, madeFor };
      const desired = kafkaTopicOf(emittedTopic(topic), place);
      await applier.apply(kafkaTopics, desired, topics.store.get(`${namespace}/${desired.metadata.name}`), signal);
    }
  }

  async #hear(namespace: string, signal: AbortSignal): Promise<Result | void> {
    const { streamQueries: queries, log } = this.#context;
    const { runner } = this.#topology(namespace);
    const count = queries.store.by(byNamespace, namespace).length;
    if (!runner) {
      this.#reports.forget(namespace);
      return;
    }
    try {
      const changed = this.#reports.heard(namespace, await this.#ask(runner, signal));
      for (const name of changed) this.#queries.enqueue(`${namespace}/${name}`, { urgent: false });
    } catch (error) {
      if (signal.aborted) throw error;
      log.debug({ err: error, namespace }, 'analytics does not answer');
      if (this.#reports.failed(namespace)) {
        for (const query of queries.store.by(byNamespace, namespace)) {
          this.#queries.enqueue(keyOf(query), { urgent: false });
        }
      }
    }
    return { requeueAfterMs: askEveryMs(count) };
  }
}
