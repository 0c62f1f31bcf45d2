import { hostname } from 'node:os';
import { Api } from '#runtime/api.ts';
import { Applier } from '#runtime/apply.ts';
import { systemClock } from '#runtime/clock.ts';
import type { Connection } from '#runtime/connection.ts';
import { EventRecorder } from '#runtime/events.ts';
import { LeaderElection } from '#runtime/lease.ts';
import type { RuntimeMetrics } from '#runtime/metrics.ts';
import { Operator } from '#runtime/operator.ts';
import type { Logger } from '#platform/telemetry';
import type { EventService } from './api/event-service.ts';
import { DatabasePools, clusterHost } from './database-pools.ts';
import { deadLetterReplayController } from './dead-letter-replay/controller.ts';
import { EventServiceController } from './event-service/controller.ts';
import { DatabaseProvisioner } from './event-service/databases.ts';
import { ConsumerLagReader } from './consumer-lag.ts';
import { ExternalKafka } from './external-kafka/external-kafka.ts';
import { projectionRebuildController } from './projection-rebuild/controller.ts';
import { EmittedTopics } from './stream-query/emitted-topics.ts';
import { queryStatusClient } from './stream-query/query-statuses.ts';
import { StreamQueryControllers } from './stream-query/controllers.ts';
import type { ControllerContext } from './controller-context.ts';
import { createInformers } from './informers.ts';
import { manager } from './labels.ts';

interface OperatorSettings {
  connection: Connection;
  log: Logger;
  metrics: RuntimeMetrics;
  /** undefined: all namespaces */
  namespaces: readonly string[] | undefined;
  /** whether `deletionPolicy: Delete` is allowed */
  mayDelete: boolean;
  /** the operator's own */
  leaseNamespace: string;
  leaseName: string;
  leaseDurationMs: number;
  /** the name of this replica */
  identity: string;
}

/** Creates the operator with everything that it needs; it does not start yet. */
export function createOperator(settings: OperatorSettings): {
  operator: Operator;
  close(): Promise<void>;
} {
  const { connection, log, metrics, namespaces, mayDelete, identity, leaseDurationMs } = settings;
  const api = new Api(connection, metrics.onRequest);
  const clock = systemClock;
  const informers = createInformers({ api, clock, log, metrics, namespaces });
  const events = new EventRecorder({
    api,
    clock,
    log,
    controller: `millrace.dev/${manager}`,
    instance: identity,
    ownNamespace: settings.leaseNamespace,
  });
  const context: ControllerContext = { api, applier: new Applier(api, manager), events, clock, log, ...informers };
  const pools = new DatabasePools(api, log);
  const externalKafka = new ExternalKafka(context, log);
  const places = { externalKafka, emittedTopics: new EmittedTopics() };
  const streamQueries = new StreamQueryControllers(context, queryStatusClient(serviceUrl), metrics, places);
  const lagReader = new ConsumerLagReader(context, log);
  const dependencies = {
    pools,
    lagReader,
    provisioner: new DatabaseProvisioner(api, clock),
    ...places,
    mayDelete,
  };
  const controllers = [
    new EventServiceController(context, dependencies, metrics).controller,
    ...streamQueries.controllers,
    deadLetterReplayController(context, pools, metrics),
    projectionRebuildController(context, pools, metrics),
  ];
  const operator = new Operator({
    log,
    metrics,
    informers: Object.values(informers),
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
        leaseDurationMs,
        renewDeadlineMs: leaseDurationMs * 0.7,
        retryPeriodMs: Math.min(1_500, leaseDurationMs * 0.15),
      }),
  });
  return {
    operator,
    async close() {
      await operator.stop();
      await events.flush();
      await pools.close();
      await lagReader.close();
      await externalKafka.close();
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
