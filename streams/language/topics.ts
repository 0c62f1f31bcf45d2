import { deadLetterTopic, eventServices, isDeadLetterTopic } from '#platform/declarations';
import type { EventService } from '#platform/declarations';

/** The topics that queries may name. */
export interface QueryTopics {
  /** those that a service declares, or that exist */
  known: ReadonlySet<string>;
  /** those that other services produce than the one that runs the queries, each with the name of its service */
  others: ReadonlyMap<string, string>;
}

interface Declared {
  metadata: { name: string };
  spec: Pick<EventService['spec'], 'produces' | 'consumes' | 'streamQueries'>;
}

/** The service that runs the stream queries: of several the first by name. */
export function runnerOf<Service extends Declared>(services: readonly Service[]): Service | undefined {
  const [runner] = services
    .filter(({ spec }) => spec.streamQueries === true)
    .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  return runner;
}

/** The topics of services, for their queries. Without a service that runs queries, none is another one's. */
export function queryTopics(services: readonly Declared[] = eventServices()): QueryTopics {
  const produced = services.flatMap(({ metadata, spec }) =>
    (spec.produces ?? []).map(({ topic }) => [topic, metadata.name] as const),
  );
  const deadLetters = services.flatMap(({ spec }) => (spec.consumes ?? []).map(({ group }) => deadLetterTopic(group)));
  const runner = runnerOf(services);
  const own = new Set(runner?.spec.produces?.map(({ topic }) => topic));
  return {
    known: new Set([...produced.map(([topic]) => topic), ...deadLetters]),
    others: new Map(runner ? produced.filter(([topic]) => !own.has(topic)) : []),
  };
}

/** Why no query may emit to a topic, as a sentence; undefined where one may. */
export function refusalOf(topic: string, { others }: Pick<QueryTopics, 'others'>): string | undefined {
  if (isDeadLetterTopic(topic)) return `${topic} is for dead letters: emit to another topic`;
  const service = others.get(topic);
  return service && `${topic} is a topic of ${service}, which alone may write it: emit to another one`;
}
