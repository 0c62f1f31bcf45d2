// Partitions without a leader: kafkajs throws for all topics of a request if one partition of one of them has none.
import type { PartitionMetadata } from 'kafkajs';
import { errorOfCode } from './error-of-code.ts';
import { oldestMetadata } from './metadata.ts';

const leaderNotAvailable = 5;
/** the id of a broker that is none */
const none = -1;

interface OffsetsOfTopic {
  topic: string;
  partitions: { partition: number; offset?: string }[];
}

/** The part of kafkajs's Cluster that knows leaders. */
export interface Leaders {
  findTopicPartitionMetadata(topic: string): PartitionMetadata[];
  /** @returns the given partitions by the id of their leader */
  findLeaderForPartitions: (topic: string, partitions: (string | number)[]) => Record<string, number[]>;
  fetchTopicsOffset: (topics: OffsetsOfTopic[]) => Promise<OffsetsOfTopic[]>;
  /** undefined for an admin */
  isolationLevel: number | undefined;
}

/** The offset of a partition without a leader, which kafkajs takes for one that it does not know yet. */
export const unknownOffset = '-1';

const hasLeader = ({ leader }: PartitionMetadata) => leader !== none;

/** Lets them through in the answers of brokers. */
export function passLeaderless(): void {
  const parse = oldestMetadata.parse.bind(oldestMetadata);
  oldestMetadata.parse = async (data) => {
    await parse({ ...data, topicMetadata: data.topicMetadata.map((topic) => ({ ...topic, partitionMetadata: [] })) });
    return data;
  };
}

export function namingLeaderless(find: Leaders['findLeaderForPartitions']): Leaders['findLeaderForPartitions'] {
  return function (this: Leaders, topic, partitions) {
    const leaders = find.call(this, topic, partitions);
    const without = leaders[none];
    if (without)
      throw Object.assign(errorOfCode(leaderNotAvailable), { message: `${topic}/${without.join(',')} has no leader` });
    return leaders;
  };
}

export function skippingLeaderless(fetch: Leaders['fetchTopicsOffset']): Leaders['fetchTopicsOffset'] {
  return async function (this: Leaders, topics) {
    const asked = topics.map((topic) => {
      const led = new Set(
        this.findTopicPartitionMetadata(topic.topic)
          .filter(hasLeader)
          .map((one) => one.partitionId),
      );
      return { ...topic, partitions: topic.partitions.filter(({ partition }) => led.has(partition)) };
    });
    const found = new Map((await fetch.call(this, asked)).map(({ topic, partitions }) => [topic, partitions]));
    return topics.map(({ topic, partitions }) => {
      const known = found.get(topic) ?? [];
      const without = partitions.filter(({ partition }) => !known.some((one) => one.partition === partition));
      return { topic, partitions: [...known, ...without.map((one) => ({ ...one, offset: unknownOffset }))] };
    });
  };
}
