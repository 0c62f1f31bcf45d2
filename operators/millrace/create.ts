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
import { Databases, clusterHost } from './databases.ts';
import { deadLetterReplayController } from './dead-letter-replay/controller.ts';
import { EventServiceController } from './event-service/controller.ts';
import { Provisioner } from './event-service/provisioning.ts';
import { Lags } from './kafka.ts';
import { projectionRebuildController } from './projection-rebuild/controller.ts';
import { queryStatusClient } from './stream-query/query-statuses.ts';
import { StreamQueryControllers } from './stream-query/controllers.ts';
import type { ControllerContext } from './controller-context.ts';
import { createInformers } from './informers.ts';
import { manager } from './labels.ts';

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
}

/** Everything of the operator, not started yet. */
export function createOperator(settings: OperatorSettings): {
  operator: Operator;
  close(): Promise<void>;
} {
  const { connection, log, metrics, namespaces, identity, leaseMs } = settings;
  const api = new Api(connection, metrics.onRequest);
  const clock = systemClock;
  const informers = createInformers({ api, clock, log, metrics, namespaces });
  const events = new EventRecorder({ api, clock, log, controller: `millrace.dev/${manager}`, instance: identity });
  const context: ControllerContext = { api, applier: new Applier(api, manager), events, clock, log, ...informers };
  const databases = new Databases(api, log);
  const streamQueries = new StreamQueryControllers(context, queryStatusClient(serviceUrl), metrics);
  const lags = new Lags(context, log);
  const parts = { databases, lags, provisioner: new Provisioner(api, clock) };
  const controllers = [
    new EventServiceController(context, parts, metrics).controller,
    ...streamQueries.controllers,
    deadLetterReplayController(context, databases, metrics),
    projectionRebuildController(context, databases, metrics),
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
        leaseMs,
        renewWithinMs: leaseMs * 0.7,
        retryMs: Math.min(1_500, leaseMs * 0.15),
      }),
  });
  return {
    operator,
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
