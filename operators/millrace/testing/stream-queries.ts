import type { Clock } from '#runtime/clock.ts';
import { conditionOf } from '#runtime/conditions.ts';
import type { Condition } from '#runtime/conditions.ts';
import type { Resource } from '#runtime/objects.ts';
import { apiVersion } from '../api/common.ts';
import { configMaps, kafkaUsers, streamQueries } from '../api/kinds.ts';
import type { StreamQuery, StreamQuerySpec } from '../api/stream-query.ts';
import type { Rights } from '../event-service/kafka-user.ts';
import type { ConfigMap } from '../informers.ts';
import { configMapNames } from '../stream-query/config-map.ts';
import { StreamQueryControllers } from '../stream-query/controllers.ts';
import { eventServiceWorld } from './event-services.ts';
import type { EventServiceWorld } from './event-services.ts';
import { namespace } from './world.ts';
import type { createWorld } from './world.ts';

type RunnerSpec = Parameters<EventServiceWorld['declare']>[1];

export interface StreamQueryWorld extends EventServiceWorld {
  /** Declares analytics, which produces and consumes order-events; without more it has no Kafka. */
  runner(spec?: RunnerSpec): void;
  /** Creates a query over order-events. */
  query(name: string, spec?: Partial<StreamQuerySpec>): void;
  /** the condition Ready of a query */
  ready(name: string): Condition | undefined;
  /** the names of the queries whose files analytics gets, sorted */
  files(): string[];
  /** the topics that analytics may write, but for those that it declares */
  written(): string[];
  /** Stops the controllers of queries, lets something happen, and starts them again, as where this process leads again. */
  leadAgain(meanwhile?: () => void | Promise<void>): Promise<void>;
}

interface WithAcls {
  authorization: { acls: Rights[] };
}

/**
 * A world with the controllers of EventServices and of StreamQueries, which run.
 * @param prepare changes the API server before anybody asks it
 */
export async function streamQueryWorld(
  prepare?: Parameters<typeof createWorld>[1],
  clock?: Clock,
): Promise<StreamQueryWorld> {
  const world = await eventServiceWorld(() => ({}), clock, prepare);
  const { server, context, metrics, declare } = world;
  const queries = new StreamQueryControllers(context, () => Promise.resolve([]), metrics, world);
  await world.start(...queries.controllers);
  const isDeclared = (topic: string) => topic === 'order-events' || topic.endsWith('.dead-letters');
  return {
    ...world,
    runner(spec) {
      declare('analytics', {
        streamQueries: true,
        produces: [{ topic: 'order-events', partitions: 6, retention: '7d' }],
        consumes: [{ group: 'analytics', topics: ['order-events'], database: 'analytics' }],
        ...spec,
      });
    },
    query(name, spec) {
      server.create(streamQueries, {
        apiVersion,
        kind: 'StreamQuery',
        metadata: { namespace, name },
        spec: {
          from: [{ topic: 'order-events' }],
          window: { tumbling: '1h' },
          select: [{ name: 'orders', count: true }],
          ...spec,
        },
      } as StreamQuery);
    },
    ready(name) {
      return conditionOf(server.find<StreamQuery>(streamQueries, namespace, name)?.status?.conditions, 'Ready');
    },
    async leadAgain(meanwhile) {
      await Promise.all(queries.controllers.map((controller) => controller.stop()));
      await meanwhile?.();
      await world.start(...queries.controllers);
    },
    files() {
      const maps = configMapNames.map((name) => server.find<ConfigMap>(configMaps, namespace, name));
      return maps
        .flatMap((map) => Object.keys(map?.data ?? {}))
        .map((file) => file.replace('.yaml', ''))
        .toSorted();
    },
    written() {
      const { acls = [] } =
        server.find<Resource<WithAcls>>(kafkaUsers, namespace, 'analytics')?.spec.authorization ?? {};
      return acls
        .filter(({ operations }) => operations.includes('Write'))
        .map(({ resource }) => resource.name)
        .filter((topic) => !isDeclared(topic));
    },
  };
}
