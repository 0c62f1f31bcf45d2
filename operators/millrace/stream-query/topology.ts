import { parseDuration } from '#platform/declarations';
import type { Topic } from '#platform/declarations';
import { isTopicName } from '#platform/kafka';
import { equal, hash } from '#runtime/compare.ts';
import type { Change } from '#runtime/informer.ts';
import { queryTopics, refusalOf, runnerOf } from '#streams/language';
import type { QueryTopics } from '#streams/language';
import type { EventService } from '../api/event-service.ts';
import type { Candidate } from './passed-on.ts';

/** The services and topics of a namespace, as far as its stream queries depend on them. */
export interface Topology {
  /** topics that services declare */
  topics: QueryTopics;
  /** topics that the runner consumes; undefined where there is no runner */
  consumed: ReadonlySet<string> | undefined;
  /** the service that runs the queries */
  runner: EventService | undefined;
  /** differs where `topics` or `consumed` differ */
  hash: string;
}

export function topologyOf(services: readonly EventService[]): Topology {
  const topics = queryTopics(services);
  const runner = runnerOf(services);
  const consumed = runner && new Set((runner.spec.consumes ?? []).flatMap((group) => group.topics));
  const all = [[...topics.known], [...topics.others], consumed && [...consumed]];
  return { topics, consumed, runner, hash: hash(all) };
}

/** The topic that the operator creates for a query where no service declares it. */
export const emittedTopic = (name: string): Topic => ({ name, partitions: 6, retentionMs: parseDuration('7d') });

/**
 * The topics that queries emit to, or their files do, and that no service declares: the operator makes them.
 * @returns each with the name of the first query that emits to it
 */
export function undeclaredTopics(candidates: ReadonlyMap<string, Candidate>, topics: QueryTopics): Map<string, string> {
  const sorted = [...candidates].toSorted(([a], [b]) => (a < b ? 1 : -1));
  const isUndeclared = (topic: string) =>
    isTopicName(topic) && !topics.known.has(topic) && refusalOf(topic, topics) === undefined;
  const emissions = sorted.flatMap(([query, { valid, before }]) =>
    [valid?.to, before?.to].flatMap((topic) =>
      topic !== undefined && isUndeclared(topic) ? [[topic, query] as const] : [],
    ),
  );
  return new Map(emissions);
}

/** Whether a change of a service is one for the queries of its namespace. */
export function isTopologyChange({ before, after }: Change<EventService>): boolean {
  const partOf = (service: EventService | undefined) => {
    const { produces = [], consumes = [], streamQueries = false } = service?.spec ?? {};
    return [produces.map(({ topic }) => topic), consumes.map(({ group, topics }) => [group, topics]), streamQueries];
  };
  return !equal(partOf(before), partOf(after));
}
