import { hostname } from 'node:os';
import { Api } from '#runtime/api.ts';
import { Applier, keepOwnFields } from '#runtime/apply.ts';
import { systemClock } from '#runtime/clock.ts';
import type { Connection } from '#runtime/connection.ts';
import { EventRecorder } from '#runtime/events.ts';
import { Informer } from '#runtime/informer.ts';
import type { InformerOptions } from '#runtime/informer.ts';
import { LeaderElection } from '#runtime/lease.ts';
import type { RuntimeMetrics } from '#runtime/metrics.ts';
import { Operator } from '#runtime/operator.ts';
import type { KubeObject, ResourceType } from '#runtime/objects.ts';
import type { Logger } from '#platform/telemetry';
import * as kinds from './api/kinds.ts';
import type { EventService } from './api/event-service.ts';
import { Databases, clusterHost } from './databases.ts';
import { deadLetterReplayController } from './dead-letter-replay/controller.ts';
import { EventServiceController } from './event-service/controller.ts';
import { Provisioner } from './event-service/provisioning.ts';
import { Lags } from './kafka.ts';
import { projectionRebuildController } from './projection-rebuild/controller.ts';
import { askAnalytics } from './stream-query/analytics.ts';
import { StreamQueryControllers } from './stream-query/controllers.ts';
import { manager, managedSelector, namespaceIndexer } from './controller-context.ts';
import type { ConfigMap, ControllerContext } from './controller-context.ts';

export interface OperatorSettings {
  connection: Connection;
  log: Logger;
  metrics: RuntimeMetrics;
  /** undefined: all */
  namespaces: readonly string[] | undefined;
  leaseNamespace: string;
  leaseName: string;
  leaseMs: number;
  /** who this is among the replicas */
  identity: string;
  /** where a service is reached; its Service in the cluster where left out */
  urlOf?: (service: EventService) => string;
}

/** Everything of the operator, not started yet. */
export function createOperator(settings: OperatorSettings): {
  operator: Operator;
  context: ControllerContext;
  close(): Promise<void>;
} {
  const { connection, log, metrics, namespaces, identity, leaseMs } = settings;
  const api = new Api(connection, metrics.onRequest);
  const clock = systemClock;
  const shared = { api, clock, log, metrics, namespaces };
  const informer = <T extends KubeObject>(type: ResourceType, options: Partial<InformerOptions<T>> = {}) =>
    new Informer<T>({
      ...shared,
      type,
      indexers: namespaceIndexer,
      keep: (object) => keepOwnFields(object, manager),
      ...options,
    });
  const managed = { labelSelector: managedSelector };
  const events = new EventRecorder({ api, clock, log, controller: `millrace.dev/${manager}`, instance: identity });
  const context: ControllerContext = {
    api,
    applier: new Applier(api, manager),
    events,
    clock,
    log,
    eventServices: informer(kinds.eventServices),
    streamQueries: informer(kinds.streamQueries),
    deadLetterReplays: informer(kinds.deadLetterReplays),
    projectionRebuilds: informer(kinds.projectionRebuilds),
    kafkaTopics: informer(kinds.kafkaTopics, managed),
    kafkaUsers: informer(kinds.kafkaUsers, managed),
    jobs: informer(kinds.jobs, managed),
    configMaps: informer<ConfigMap>(kinds.configMaps, managed),
  };
  const databases = new Databases(api, log);
  const urlOf = settings.urlOf ?? serviceUrl;
  const streamQueries = new StreamQueryControllers(context, askAnalytics(urlOf), metrics);
  const lags = new Lags(context, log);
  const parts = { databases, lags, provisioner: new Provisioner(api, clock) };
  const controllers = [
    new EventServiceController(context, parts, metrics).controller,
    ...streamQueries.controllers,
    deadLetterReplayController(context, databases, metrics),
    projectionRebuildController(context, databases, metrics),
  ];
  const informers = [
    context.eventServices,
    context.streamQueries,
    context.deadLetterReplays,
    context.projectionRebuilds,
    context.kafkaTopics,
    context.kafkaUsers,
    context.jobs,
    context.configMaps,
  ];
  const operator = new Operator({
    log,
    metrics,
    informers,
    controllers,
    election: (handlers) =>
      new LeaderElection({
        ...handlers,
        api,
        clock,
        log,
        namespace: settings.leaseNamespace,
        name: settings.leaseName,
        identity,
        leaseMs,
        renewWithinMs: leaseMs * 0.7,
        retryMs: Math.min(1_500, leaseMs * 0.15),
      }),
  });
  return {
    operator,
    context,
    async close() {
      await operator.stop();
      await events.flush();
      await databases.close();
      await lags.close();
      await connection.close();
    },
  };
}

/** A name that no other replica has. */
export function identityOf(podName: string): string {
  return `${podName || hostname()}_${process.pid}`;
}

function serviceUrl({ metadata, spec }: EventService): string {
  return `http://${clusterHost(metadata.name, metadata.namespace ?? 'default')}:${spec.port}`;
}
