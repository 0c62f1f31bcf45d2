import { Registry } from 'prom-client';
import { Api } from '#runtime/api.ts';
import { Applier } from '#runtime/apply.ts';
import { systemClock } from '#runtime/clock.ts';
import type { Clock } from '#runtime/clock.ts';
import type { Controller } from '#runtime/controller.ts';
import { EventRecorder, eventType } from '#runtime/events.ts';
import { RuntimeMetrics } from '#runtime/metrics.ts';
import type { KubeObject } from '#runtime/objects.ts';
import { FakeApiServer } from '#runtime/testing/fake-api-server.ts';
import { memoryLog } from '#runtime/testing/support.ts';
import { namespaces } from '../api/kinds.ts';
import type { ControllerContext } from '../controller-context.ts';
import { createInformers } from '../informers.ts';
import { manager } from '../labels.ts';

/** The namespace of every object of these tests, and that of the operator. */
export const namespace = 'shop';
export const ownNamespace = 'millrace-system';

interface RecordedEvent extends KubeObject {
  type: string;
  reason: string;
  note: string;
}

/** An API server of a test with controllers of the operator, which do not start by themselves. */
export interface World {
  server: FakeApiServer;
  context: ControllerContext;
  metrics: RuntimeMetrics;
  /** the lines of the metrics whose name begins so */
  metricLines(prefix: string): Promise<string[]>;
  /** the Events so far, each as `<type> <reason>: <note>` */
  events(): Promise<string[]>;
  /** Starts controllers when the caches have synced. */
  start(...controllers: Controller[]): Promise<void>;
  stop(): Promise<void>;
}

/**
 * @param prepare changes the API server before anybody asks it
 * @param watched the namespaces that the operator watches
 */
export async function createWorld(
  clock: Clock = systemClock,
  prepare: (server: FakeApiServer) => void = () => undefined,
  watched: readonly string[] = [namespace],
): Promise<World> {
  const server = new FakeApiServer();
  prepare(server);
  await server.start();
  server.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  const registry = new Registry();
  const metrics = new RuntimeMetrics(registry);
  const api = new Api(server.connection(), metrics.onRequest);
  const log = memoryLog();
  const informers = createInformers({ api, clock, log, metrics, namespaces: watched });
  const recorder = new EventRecorder({ api, clock, log, controller: 'test', instance: 'test', ownNamespace });
  const context = { api, applier: new Applier(api, manager), events: recorder, clock, log, ...informers };
  const stopping = new AbortController();
  const running = Object.values(informers).map((informer) => informer.run(stopping.signal));
  const started: Controller[] = [];
  return {
    server,
    context,
    metrics,
    async metricLines(prefix) {
      return (await registry.metrics()).split('\n').filter((line) => line.startsWith(prefix));
    },
    async events() {
      await recorder.flush();
      return server.all<RecordedEvent>(eventType).map(({ type, reason, note }) => `${type} ${reason}: ${note}`);
    },
    async start(...controllers) {
      started.push(...controllers);
      await Promise.all(Object.values(informers).map((informer) => informer.whenSynced()));
      const isUnread = (name: string) => Object.values(informers).some((informer) => informer.isUnread(name));
      metrics.leads(true, isUnread);
      for (const controller of controllers) controller.start(isUnread);
    },
    async stop() {
      await Promise.all(started.map((controller) => controller.stop()));
      stopping.abort();
      await Promise.all(running);
      await recorder.flush();
      await server.stop();
    },
  };
}
