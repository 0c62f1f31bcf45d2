import { Controller, specChanged } from '#runtime/controller.ts';
import type { ConditionUpdate } from '#runtime/conditions.ts';
import { hasFinalizer, isDeleting, setFinalizer } from '#runtime/finalizers.ts';
import type { RuntimeMetrics } from '#runtime/metrics.ts';
import type { KubeObject } from '#runtime/objects.ts';
import { controllerOf, keyOf } from '#runtime/objects.ts';
import type { Result } from '#runtime/queue.ts';
import { runnerOf } from '#streams/language';
import type { EventService, EventServiceStatus } from '../api/event-service.ts';
import { deployments, eventServices } from '../api/kinds.ts';
import type { DatabasePools } from '../database-pools.ts';
import type { ConsumerLagReader } from '../consumer-lag.ts';
import type { ControllerContext } from '../controller-context.ts';
import { letGo } from '../deletion.ts';
import type { ExternalKafka } from '../external-kafka/external-kafka.ts';
import { byNamespace } from '../informers.ts';
import { madeForLabel, manager } from '../labels.ts';
import { StatusReporter, deletionAllowed, queriesRunning } from '../report.ts';
import type { EmittedTopics } from '../stream-query/emitted-topics.ts';
import { ImageIds } from './image-ids.ts';
import { ServiceKafka, hasRightsToTake } from './kafka.ts';
import { migrate } from './migrate.ts';
import { answeringOf, measure } from './measure.ts';
import type { Measurements } from './measure.ts';
import { databaseNamed } from './databases.ts';
import type { DatabaseProvisioner } from './databases.ts';
import { partitionsOf, scale } from './scaling.ts';
import type { Recommendation } from './scaling.ts';
import { readyOf, statusFieldsOf } from './status.ts';

/** How often the operator measures a service, and, sooner, checks a service that is not ready. */
const measureEveryMs = 10_000;
const notReadyMs = 2_000;

/** Deletes the topics and databases of a service whose deletionPolicy is Delete, and the ACLs of its user in an external Kafka. */
const finalizer = 'millrace.dev/delete-data';

const deletionRefused = {
  type: deletionAllowed,
  status: 'False',
  reason: 'DeletionNotAllowed',
  message:
    'this operator may not delete topics and databases, and leaves them: set deletionPolicy to Retain, or deletion.allowed to true in the chart of the operator',
} satisfies ConditionUpdate;

interface Scale extends KubeObject {
  spec?: { replicas?: number };
}

interface Dependencies {
  pools: DatabasePools;
  lagReader: ConsumerLagReader;
  provisioner: DatabaseProvisioner;
  externalKafka: ExternalKafka;
  emittedTopics: EmittedTopics;
  /** whether `deletionPolicy: Delete` is allowed: without it the API server refuses the deletions */
  mayDelete: boolean;
}

/** The controller of EventServices. */
export class EventServiceController {
  readonly #context: ControllerContext;
  readonly #dependencies: Dependencies;
  readonly #reporter: StatusReporter<EventServiceStatus>;
  readonly #images: ImageIds;
  readonly #kafka: ServiceKafka;
  readonly #scaling = new Map<string, Recommendation[]>();
  readonly controller: Controller;

  constructor(context: ControllerContext, dependencies: Dependencies, metrics: RuntimeMetrics) {
    this.#context = context;
    this.#dependencies = dependencies;
    this.#reporter = new StatusReporter(context, eventServices, metrics);
    this.#images = new ImageIds(context.api, context.clock);
    this.#kafka = new ServiceKafka(context, dependencies.externalKafka);
    const { clock, log, eventServices: services, kafkaTopics: topics, kafkaUsers: users, jobs: work } = context;
    const inNamespace = ({ metadata: { namespace = '' } }: KubeObject, name: string | undefined) =>
      name === undefined ? [] : [`${namespace}/${name}`];
    const reconcile = (key: string, signal: AbortSignal) => this.#reconcile(key, signal);
    const onFailure = (key: string, error: unknown, signal: AbortSignal) =>
      this.#reporter.fail(services.store.get(key), error, signal);
    this.controller = new Controller({ name: 'event-service', clock, log, metrics, reconcile, onFailure })
      .for(services, specChanged)
      // the next one may run the stream queries when another one does no more
      .watches(
        services,
        (service) => (runsQueries(service) ? this.#runnersIn(service.metadata.namespace ?? '') : []),
        specChanged,
      )
      .watches(topics, (topic) => inNamespace(topic, topic.metadata.labels?.[madeForLabel]))
      .watches(users, (user) => inNamespace(user, controllerOf(user, 'EventService')))
      .watches(work, (job) => inNamespace(job, controllerOf(job, 'EventService')));
    dependencies.emittedTopics.onChange((namespace) => {
      for (const key of this.#runnersIn(namespace)) this.controller.enqueue(key);
    });
  }

  async #reconcile(key: string, signal: AbortSignal): Promise<Result | void> {
    const { api, eventServices: services } = this.#context;
    const service = services.store.get(key);
    if (!service) {
      this.#scaling.delete(key);
      this.#reporter.forget(key);
      this.#images.forget(key);
      this.#dependencies.externalKafka.forget(key);
      return;
    }
    if (isDeleting(service)) {
      return hasFinalizer(service, finalizer) ? await this.#cleanUp(service, signal) : undefined;
    }
    const { mayDelete } = this.#dependencies;
    const deletes = service.spec.deletionPolicy === 'Delete';
    const leaves = (deletes && mayDelete) || hasRightsToTake(service);
    // the watch brings the changed service back here
    if (await setFinalizer(api, eventServices, service, finalizer, leaves, signal)) return;

    const kafka = await this.#kafka.keep(service, this.#emitted(service), signal);
    const conditions = [...kafka.conditions, await this.#dependencies.provisioner.provision(service, signal)];
    const haveDatabases = conditions.at(-1)!.status === 'True';
    const needed = { ...this.#dependencies, images: this.#images };
    const migration = await migrate(this.#context, needed, service, haveDatabases, signal);
    conditions.push(migration.condition);
    if (deletes && !mayDelete) conditions.push(deletionRefused);
    conditions.push(...this.#runnerTaken(service));
    const sources = { ...this.#dependencies, log: this.#context.log };
    const measured = await measure(service, sources, answeringOf(conditions), signal);
    const replicas = await this.#scale(key, service, measured, signal);
    const fields = statusFieldsOf(measured, migration, { replicas, kafkaUsers: kafka.users });
    const ready = readyOf(conditions);
    await this.#reporter.report(service, { conditions: [...conditions, ready], fields }, signal);
    return { requeueAfterMs: ready.status === 'True' ? measureEveryMs : notReadyMs };
  }

  /** The services of a namespace that are to run its stream queries. */
  #runnersIn(namespace: string): string[] {
    return this.#context.eventServices.store.by(byNamespace, namespace).filter(runsQueries).map(keyOf);
  }

  /** The service that runs the stream queries of the namespace. */
  #runnerBeside({ metadata: { namespace = '' } }: EventService): string | undefined {
    return runnerOf(this.#context.eventServices.store.by(byNamespace, namespace))?.metadata.name;
  }

  /** That another service runs the stream queries, if this one is to run them. */
  #runnerTaken(service: EventService): ConditionUpdate[] {
    const runner = this.#runnerBeside(service);
    if (!runsQueries(service) || runner === undefined || runner === service.metadata.name) return [];
    const message = `${runner} runs the stream queries of the namespace, which only one service may: set streamQueries to false in one of them`;
    return [{ type: queriesRunning, status: 'False', reason: 'RunnerTaken', message }];
  }

  /** The topics that stream queries emit to, if the service runs them; undefined while nobody knows. */
  #emitted(service: EventService): readonly string[] | undefined {
    const { namespace = '', name } = service.metadata;
    if (this.#runnerBeside(service) !== name) return [];
    const emitted = this.#dependencies.emittedTopics.of(namespace, service.spec.kafka?.external);
    return emitted && [...emitted];
  }

  async #scale(
    key: string,
    service: EventService,
    measured: Measurements,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const { api, clock, log } = this.#context;
    const { namespace = '', name } = service.metadata;
    const { scaling, workload } = service.spec;
    const lags = measured.consumers.map(({ lag }) => lag);
    if (!scaling || lags.length === 0 || lags.some((lag) => lag === undefined)) return service.status?.replicas;
    const deployment = workload?.deployment ?? name;
    const found = await api.get<Scale>(deployments, namespace, deployment, { signal, subresource: 'scale' });
    const current = found?.spec?.replicas ?? 0;
    if (current === 0) return 0; // it does not exist, or somebody has scaled it to 0 and has to scale it up again
    const lag = lags.reduce<number>((total, one) => total + (one ?? 0), 0);
    const partitions = partitionsOf(service.spec, measured.partitions);
    const { replicas, history } = scale(
      scaling,
      { lag, partitions, current, now: clock.now() },
      this.#scaling.get(key),
    );
    this.#scaling.set(key, history);
    if (replicas === current) return replicas;
    log.info({ deployment, namespace, lag, from: current, to: replicas }, 'scale a deployment');
    await api.patch(
      deployments,
      namespace,
      deployment,
      { spec: { replicas } },
      { signal, manager, subresource: 'scale' },
    );
    const note = `${deployment} from ${current} to ${replicas} pods: ${lag} events behind`;
    this.#context.events.record(service, { type: 'Normal', reason: 'Scaled', action: 'Scale', note });
    return replicas;
  }

  async #cleanUp(service: EventService, signal: AbortSignal): Promise<Result | void> {
    const { mayDelete, provisioner } = this.#dependencies;
    const isAsked = service.spec.deletionPolicy === 'Delete';
    const deletes = isAsked && mayDelete;
    const databases = isAsked ? (service.spec.databases ?? []) : [];
    const left = [...this.#kafka.leaves(service, isAsked), ...databases.map(({ name }) => databaseNamed(name))];
    const rightsStay = await this.#kafka.whyRightsStay(service, signal);
    const goes = { rights: rightsStay === undefined, topics: deletes };
    const cleanUp = async (remaining: Set<string>) => {
      await this.#kafka.cleanUp(service, goes, remaining, signal);
      if (deletes) await provisioner.drop(service, remaining, signal);
    };
    const refusals = [rightsStay, isAsked && !mayDelete ? deletionRefused.message : undefined];
    const refusal = refusals.filter((why) => why !== undefined).join('; ') || undefined;
    const deletion = { type: eventServices, finalizer, cleanUp, left, refusal };
    return await letGo(this.#context, this.#reporter, service, deletion, signal);
  }
}

const runsQueries = ({ spec }: EventService) => spec.streamQueries === true;
