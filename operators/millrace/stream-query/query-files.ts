import { equal } from '#runtime/compare.ts';
import { isDeleting } from '#runtime/finalizers.ts';
import { keyOf } from '#runtime/objects.ts';
import type { KubeObject } from '#runtime/objects.ts';
import type { Result } from '#runtime/queue.ts';
import { inTurns } from '#runtime/turns.ts';
import { parseQuery, refusalOf } from '#streams/language';
import { configMaps } from '../api/kinds.ts';
import type { StreamQuery } from '../api/stream-query.ts';
import type { ControllerContext } from '../controller-context.ts';
import { OperatorError } from '../errors.ts';
import { writtenBy } from '../event-service/kafka-user.ts';
import type { ExternalKafka } from '../external-kafka/external-kafka.ts';
import { byNamespace } from '../informers.ts';
import type { ConfigMap } from '../informers.ts';
import { topicNameOf } from '../kafka-topic.ts';
import { handOverCommand, isManaged, isOfQueries } from '../labels.ts';
import { applyOwn } from '../own-objects.ts';
import { configMapNames, configMapOf, fileIn, queryFiles, writingOrder } from './config-map.ts';
import type { EmittedTopics } from './emitted-topics.ts';
import type { ExternalTopics } from './external-topics.ts';
import { LeavingTopics } from './leaving-topics.ts';
import { passedOn } from './passed-on.ts';
import type { Candidate, QueryFile } from './passed-on.ts';
import { QueryMaps } from './query-maps.ts';
import { keepQueryTopics } from './topics.ts';
import type { QueryTopic } from './topics.ts';
import { undeclaredTopics } from './topology.ts';
import type { Topology } from './topology.ts';
import type { ValidationCache } from './validation-cache.ts';

const configMapTaken = (taken: KubeObject) =>
  new OperatorError(
    'ERR_OPERATOR_CONFIG_MAP_TAKEN',
    `the ConfigMap ${taken.metadata.name} exists, and Millrace has not made it: delete it, or hand it over with: ` +
      handOverCommand(configMaps, taken, {}),
  );

/** Where the topics and the files of queries are kept. */
export interface QueryPlaces {
  externalKafka: ExternalKafka;
  emittedTopics: EmittedTopics;
}

/** Who is told what passes find. */
interface Listeners {
  /** the queries whose topic or place has changed */
  changed: (namespace: string, queries: Iterable<string>) => void;
  /** that other topics are wanted outside of Strimzi */
  wanted: (namespace: string) => void;
}

/** The topics and the files of the queries of a namespace, as the last pass has left them. */
interface Passed {
  /** topics that only queries declare */
  topics: ReadonlyMap<string, QueryTopic>;
  /** the queries that do not fit into the ConfigMaps */
  overflow: ReadonlySet<string>;
}

const nothing: Passed = { topics: new Map(), overflow: new Set() };

/** Passes queries on to analytics as files in ConfigMaps, and keeps the topics that they emit to. */
export class QueryFiles {
  readonly #context: ControllerContext;
  readonly #validations: ValidationCache;
  readonly #external: ExternalTopics;
  readonly #emitted: EmittedTopics;
  readonly #leaving: LeavingTopics;
  readonly #listeners: Listeners;
  readonly #maps: QueryMaps;
  readonly #passed = new Map<string, Passed>();

  constructor(
    context: ControllerContext,
    validations: ValidationCache,
    { emittedTopics }: QueryPlaces,
    external: ExternalTopics,
    listeners: Listeners,
  ) {
    this.#context = context;
    this.#validations = validations;
    this.#external = external;
    this.#emitted = emittedTopics;
    this.#leaving = new LeavingTopics(context.clock);
    this.#maps = new QueryMaps(context.configMaps);
    this.#listeners = listeners;
  }

  /** Forgets which topics are wanted and emitted to: another process may have changed it meanwhile. */
  clear(): void {
    this.#emitted.clear();
    this.#external.clear();
    this.#leaving.clear();
  }

  /** What there is of the queries of a namespace. */
  passed(namespace: string): Passed {
    return this.#passed.get(namespace) ?? nothing;
  }

  /** The ConfigMaps of a namespace; undefined for those that do not exist. */
  maps(namespace: string): (ConfigMap | undefined)[] {
    return this.#maps.in(namespace);
  }

  /** Passes the queries of a namespace on, and before that makes their topics. */
  async pass(namespace: string, topology: Topology, signal: AbortSignal): Promise<Result> {
    const { configMaps: maps } = this.#context;
    const observed = this.maps(namespace);
    if (!topology.runner?.spec.kafka?.external) this.#external.forget(namespace);
    if (!topology.runner && !observed.some(Boolean)) return {};
    const candidates = await this.#candidates(namespace, topology, observed, signal);
    const result = await this.#keepTopics(namespace, candidates, topology, signal);
    const texts = this.#textsOf(namespace, candidates, topology);
    const before = observed.map((map) => map?.data);
    const { data, overflow } = queryFiles(texts, before);
    for (const place of writingOrder(data, before)) {
      const name = configMapNames[place]!;
      const found = observed[place];
      // one that somebody else has made is a matter of queries only where it has a file of one
      const isNeeded = place === 0 || (found && isManaged(found)) || Object.keys(data[place]!).length > 0;
      if (!isNeeded) continue;
      const map = await applyOwn(this.#context, maps, configMapOf(namespace, name, data[place]!), signal);
      if (!isManaged(map)) throw configMapTaken(map);
      this.#maps.written(map);
    }
    const last = this.passed(namespace);
    this.#passed.set(namespace, { ...last, overflow });
    this.#listeners.changed(namespace, overflow.symmetricDifference(last.overflow));
    return { requeueAfterMs: this.#leaving.written(namespace), ...result };
  }

  /** What there is of each query. @param observed the ConfigMaps */
  async #candidates(
    namespace: string,
    topology: Topology,
    observed: readonly (ConfigMap | undefined)[],
    signal: AbortSignal,
  ): Promise<Map<string, Candidate>> {
    const { streamQueries: queries, clock } = this.#context;
    const all = queries.store.by(byNamespace, namespace).filter((query) => !isDeleting(query));
    const candidates = new Map<string, Candidate>();
    const look = (query: StreamQuery) => {
      const { name } = query.metadata;
      const { text } = this.#validations.validate(query, topology);
      const file = fileIn(observed, name);
      const valid = text === undefined ? undefined : { text, to: query.spec.emit?.to };
      const before = file === undefined ? undefined : file === text ? valid : fileWith(name, file);
      candidates.set(name, { valid, before });
    };
    await inTurns(all, look, clock, signal);
    return candidates;
  }

  /**
   * Makes and corrects the topics that no service declares; those outside of Strimzi, whose Kafka may be slow, others do.
   * @returns when to look at them again: of most, Strimzi tells
   */
  async #keepTopics(
    namespace: string,
    candidates: ReadonlyMap<string, Candidate>,
    { topics, runner }: Topology,
    signal: AbortSignal,
  ): Promise<Result> {
    const { kafkaTopics, streamQueries } = this.#context;
    const { cluster, external, replicas } = runner?.spec.kafka ?? {};
    const undeclared = undeclaredTopics(candidates, topics);
    let after = new Map<string, QueryTopic>();
    if (external) {
      const isChanged = this.#external.want(namespace, { external, replicas }, [...undeclared.keys()]);
      if (isChanged) this.#listeners.wanted(namespace);
      after = this.#external.of(namespace);
    } else if (cluster !== undefined && !kafkaTopics.isAbsent)
      after = await keepQueryTopics(this.#context, { namespace, cluster, replicas }, undeclared, signal);
    const last = this.passed(namespace);
    this.#passed.set(namespace, { ...last, topics: after });
    const isChanged = (topic: string) => !equal(after.get(topic), last.topics.get(topic));
    // also those that are newer than the candidates
    const emitting = streamQueries.store
      .by(byNamespace, namespace)
      .filter(({ spec }) => spec.emit && isChanged(spec.emit.to));
    this.#listeners.changed(
      namespace,
      emitting.map(({ metadata }) => metadata.name),
    );
    return { retry: !external && ![...after.values()].every(({ ready }) => ready) };
  }

  /** The files that analytics gets. Whoever keeps the rights to topics is told which ones these emit to. */
  #textsOf(
    namespace: string,
    candidates: ReadonlyMap<string, Candidate>,
    { topics: declared, runner }: Topology,
  ): Map<string, string> {
    const { topics } = this.passed(namespace);
    const mayEmit = (topic: string) => {
      if (refusalOf(topic, declared) !== undefined) return false;
      return declared.known.has(topic) || topics.get(topic)?.isOwn;
    };
    const files = [...candidates].flatMap(([name, candidate]) => {
      const file = passedOn(candidate, mayEmit);
      return file ? [[name, file] as const] : [];
    });
    const emits = files.flatMap(([, { to }]) => (to === undefined || declared.known.has(to) ? [] : [to]));
    this.#tellEmitted(namespace, emits, { topics: declared, runner });
    return new Map(files.map(([name, { text }]) => [name, text]));
  }

  /**
   * Tells which topics are emitted to that were made for queries. While nobody has looked whose they are, or without the kind of Strimzi that
   * says so, the rights stay as they are.
   * @param emits what files emit to and no service declares
   */
  #tellEmitted(
    namespace: string,
    emits: readonly string[],
    { topics: declared, runner }: Pick<Topology, 'topics' | 'runner'>,
  ): void {
    const { topics } = this.passed(namespace);
    const { cluster, external } = runner?.spec.kafka ?? {};
    const isOfStrimzi = cluster !== undefined;
    const told = this.#emitted.of(namespace, external);
    const isOwn = (topic: string) => topics.get(topic)?.isOwn ?? (isOfStrimzi ? told?.has(topic) : undefined);
    if (external && this.#external.isUnknown(namespace)) return;
    const isUnread = isOfStrimzi && this.#context.kafkaTopics.isAbsent;
    if (isUnread && emits.some((topic) => isOwn(topic) === undefined)) return;
    const emitted = new Set(emits.filter(isOwn));
    const mayStay = (topic: string) => refusalOf(topic, declared) === undefined && topics.get(topic)?.isOwn !== false;
    const before = told ?? (isOfStrimzi ? this.#rightsOf(namespace, runner) : new Set<string>());
    const leaving = this.#leaving.among(namespace, before, emitted, mayStay);
    this.#emitted.set(namespace, new Set([...emitted, ...leaving]), external);
  }

  /** The topics that were made for queries and that a service may write: an operator before has given it the right. */
  #rightsOf(namespace: string, runner: Topology['runner']): Set<string> {
    const { kafkaTopics, kafkaUsers } = this.#context;
    const made = new Set(kafkaTopics.store.by(byNamespace, namespace).filter(isOfQueries).map(topicNameOf));
    return new Set(runner && writtenBy(kafkaUsers.store.get(keyOf(runner)))).intersection(made);
  }
}

/** A file that was passed on, with the topic that it emits to. */
const fileWith = (name: string, text: string): QueryFile => ({ text, to: parseQuery(name, text).query?.emit?.to });
