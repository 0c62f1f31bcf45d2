import pino from 'pino';
import type { EventServiceSpec } from '#platform/declaration-schema';
import type { Clock } from '#runtime/clock.ts';
import { conditionOf } from '#runtime/conditions.ts';
import type { Condition } from '#runtime/conditions.ts';
import type { Controller } from '#runtime/controller.ts';
import { apiVersion } from '../api/common.ts';
import type { EventService } from '../api/event-service.ts';
import { eventServices } from '../api/kinds.ts';
import { ExternalKafka } from '../external-kafka/external-kafka.ts';
import { EventServiceController } from '../event-service/controller.ts';
import { EmittedTopics } from '../stream-query/emitted-topics.ts';
import { createWorld, namespace } from './world.ts';
import type { World } from './world.ts';

type Dependencies = ConstructorParameters<typeof EventServiceController>[1];

/** Servers that have everything: databases are created, tables are empty, and no group is behind. */
const fine = {
  pools: { get: () => Promise.resolve({ query: () => Promise.resolve({ rows: [] }) }) },
  lagReader: { read: () => Promise.resolve({ lag: 0, partitions: new Map() }) },
  provisioner: {
    provision: () => Promise.resolve({ type: 'DatabasesReady', status: 'True', reason: 'Created', message: '' }),
    drop: () => Promise.resolve(),
    forget: () => undefined,
  },
  mayDelete: true,
};

/** Parts of the servers that a test replaces. */
type Servers = { [Name in Exclude<keyof typeof fine, 'mayDelete'>]?: object } & { mayDelete?: boolean };

export interface EventServiceWorld extends World {
  controller: Controller;
  externalKafka: ExternalKafka;
  emittedTopics: EmittedTopics;
  declare(name: string, spec?: Partial<EventServiceSpec>): EventService;
  service(name: string): EventService | undefined;
  condition(name: string, type: string): Condition | undefined;
}

/**
 * A world with the controller of EventServices, which runs.
 * @param serversOf replaces parts of its servers
 * @param prepare changes the API server before anybody asks it
 */
export async function eventServiceWorld(
  serversOf: (world: World) => Servers = () => ({}),
  clock?: Clock,
  prepare?: Parameters<typeof createWorld>[1],
): Promise<EventServiceWorld> {
  const world = await createWorld(clock, prepare);
  const { server, context, metrics } = world;
  const externalKafka = new ExternalKafka(context, pino({ enabled: false }));
  const emittedTopics = new EmittedTopics();
  const { controller } = new EventServiceController(
    context,
    { ...fine, externalKafka, emittedTopics, ...serversOf(world) } as unknown as Dependencies,
    metrics,
  );
  await world.start(controller);
  const service = (name: string) => server.find<EventService>(eventServices, namespace, name);
  return {
    ...world,
    async stop() {
      await world.stop();
      await externalKafka.close();
    },
    controller,
    externalKafka,
    emittedTopics,
    service,
    condition: (name, type) => conditionOf(service(name)?.status?.conditions, type),
    declare: (name, spec = {}) => {
      const metadata = { name, namespace };
      const declared = { apiVersion, kind: 'EventService', metadata, spec: { port: 8080, ...spec } };
      return server.create(eventServices, declared) as EventService;
    },
  };
}
