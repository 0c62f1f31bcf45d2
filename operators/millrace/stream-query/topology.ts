import { deadLetterTopic, parseDuration } from '#platform/declarations';
import type { Topic } from '#platform/declarations';
import { equal, hash } from '#runtime/compare.ts';
import type { Change } from '#runtime/informer.ts';
import type { EventService } from '../api/event-service.ts';
import type { StreamQuery } from '../api/stream-query.ts';

/** The services and topics of a namespace, as far as its stream queries depend on them. */
export interface Topology {
  /** topics that services declare */
  topics: ReadonlySet<string>;
  /** topics that the runner consumes; undefined where there is no runner */
  consumed: ReadonlySet<string> | undefined;
  /** the service that runs the queries */
  runner: EventService | undefined;
  /** differs where `topics` or `consumed` differ */
  hash: string;
}

export function topologyOf(services: readonly EventService[]): Topology {
  const topics = services.flatMap(({ spec }) => [
    ...(spec.produces ?? []).map(({ topic }) => topic),
    ...(spec.consumes ?? []).map(({ group }) => deadLetterTopic(group)),
  ]);
  const [runner] = services
    .filter(({ spec }) => spec.streamQueries === true)
    .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  const consumed = runner && new Set((runner.spec.consumes ?? []).flatMap((group) => group.topics));
  return { topics: new Set(topics), consumed, runner, hash: hash([topics, consumed && [...consumed]]) };
}

/** The topic that the operator creates for a query where no service declares it. */
export const emittedTopic = (name: string): Topic => ({ name, partitions: 6, retentionMs: parseDuration('7d') });

/** The topics that the queries emit to and that no service declares, each with the name of the first query that does. */
export function undeclaredTopics(queries: readonly StreamQuery[], topics: ReadonlySet<string>): Map<string, string> {
  const sorted = queries.toSorted((a, b) => (a.metadata.name < b.metadata.name ? 1 : -1));
  const emitted = sorted.flatMap(({ spec, metadata }) => (spec.emit ? [[spec.emit.to, metadata.name] as const] : []));
  return new Map(emitted.filter(([topic]) => !topics.has(topic)));
}

/** Whether a change of a service is one for the queries of its namespace. */
export function isTopologyChange({ before, after }: Change<EventService>): boolean {
  const partOf = (service: EventService | undefined) => {
    const { produces = [], consumes = [], streamQueries = false } = service?.spec ?? {};
    return [produces.map(({ topic }) => topic), consumes.map(({ group, topics }) => [group, topics]), streamQueries];
  };
  return !equal(partOf(before), partOf(after));
}
