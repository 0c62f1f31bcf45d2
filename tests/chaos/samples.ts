import type { EventService } from '#platform/declarations';
import type { HopSample } from './watch.ts';

/** A database with an outbox, and who reads topics into it. */
export interface Outbox {
  database: string;
  service: string;
  consumes: NonNullable<EventService['spec']['consumes']>;
}

/** What a database says. */
export interface Reading {
  shards: { shard: number; pending: number; position: string }[];
  /** by group and partition; of an earlier topic of the name, they say nothing */
  offsets: ReadonlyMap<string, { next: bigint; topicId: string | null }>;
  /** Those that can be sent now, those that wait for that or for their next attempt, and those that are done. */
  mails: { due: number; waiting: number; settled: number } | undefined;
}

/** What Kafka says of a topic. */
export interface TopicEnds {
  high: ReadonlyMap<number, bigint>;
  topicId: string | undefined;
}

/** Where each shard of an outbox is, each partition that is read into its database, and the mails of that. */
export function samplesOf(
  { database, service, consumes }: Outbox,
  { shards, offsets, mails }: Reading,
  ends: ReadonlyMap<string, TopicEnds>,
): HopSample[] {
  // a shard moves by its own cursor: the ends of the topics grow by the other shards, too
  const samples = shards.map(({ shard, pending, position }): HopSample => {
    return { name: `outbox ${database}/${shard}`, hop: `outbox ${database}`, service, pending, position };
  });
  for (const { group, topics } of consumes)
    for (const topic of topics)
      for (const [partition, high] of ends.get(topic)?.high ?? []) {
        const name = `${group} ${topic}/${partition}`;
        const stored = offsets.get(name);
        const { topicId } = ends.get(topic)!;
        const isOther = stored?.topicId !== null && topicId !== undefined && stored?.topicId !== topicId;
        const next = stored && !isOther ? stored.next : 0n;
        const position = `${stored?.topicId} ${stored?.next}`;
        samples.push({ name, hop: group, service, pending: Number(high - next), position });
      }
  if (mails) samples.push({ name: 'mails', hop: 'mails', service, pending: mails.due, position: `${mails.settled}` });
  return samples;
}
