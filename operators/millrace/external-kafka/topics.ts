import { randomInt } from 'node:crypto';
import type { Topic } from '#platform/declarations';
import { topicConfig } from '#platform/kafka';
import { equal } from '#runtime/compare.ts';
import { ApiError } from '#runtime/errors.ts';
import type { BoundedManager } from './bounded-manager.ts';
import { KafkaProblem } from './problem.ts';
import type { TopicRecord } from './topic-records.ts';

/** What the topics of an owner are kept with. */
export interface TopicKeeping {
  manager: BoundedManager;
  owner: string;
  /** the replicas that are declared; undefined where there are to be as many as brokers, up to three */
  replicas: number | undefined;
  record: TopicRecord | undefined;
  /** whether the topics of another owner stay those of that one */
  keepsTopics: (owner: string) => boolean;
  /** the record of the topic as it is by now */
  read: () => Promise<TopicRecord | undefined>;
  /** writes the record of the topic, or removes it */
  write: (record: TopicRecord | undefined) => Promise<void>;
}

/** A topic that is another's, or nobody's that is known. */
export class TopicTaken extends KafkaProblem {
  readonly topic: string;

  constructor(topic: string, why: string) {
    super('TopicTaken', `the topic ${topic} ${why}`);
    this.topic = topic;
  }
}

const retention = 'retention.ms';
const centuryMs = 100 * 365 * 86_400_000;
const proofs = 1_000_000;

/**
 * The retention of a topic until its id is recorded: one that nobody else would choose, and, as a broker may refuse a longer one, a little
 * shorter than what is declared.
 */
function proofOf(retentionMs: number): string {
  const declared = retentionMs < 0 ? centuryMs : retentionMs;
  const difference = randomInt(1, proofs);
  return String(declared > 2 * proofs ? declared - difference : declared + difference);
}

/** Whether a topic is the one that a record is of. */
export async function isRecorded(
  name: string,
  found: { id: string | undefined },
  { id, proof }: TopicRecord,
  manager: Pick<BoundedManager, 'config'>,
): Promise<boolean> {
  if (proof !== undefined) return (await manager.config(name))[retention] === proof;
  return id === undefined || found.id === undefined || id === found.id;
}

const defaultReplicas = 3;
const strangers = 'exists in Kafka, and Millrace has not made it in this namespace';

/**
 * Creates a topic, or gives the owner's topic the partitions and settings that are declared. The topic of another owner, and one
 * that nobody known has made, is not touched.
 * @throws KafkaProblem, the error of Kafka, or that of the API server: a conflict where another owner has been at work meanwhile
 */
export async function keepTopic({ name, partitions, retentionMs }: Topic, keeping: TopicKeeping): Promise<void> {
  const { manager, owner, replicas, record, keepsTopics, read, write } = keeping;
  const recordIt = ({ id }: { id: string | undefined }) => write({ owner, id });
  /** Another owner may have made the topic since the record was read. @throws ApiError a conflict */
  const replace = async (expected: TopicRecord | undefined, next: TopicRecord | undefined) => {
    if (!equal(await read(), expected))
      throw new ApiError(409, { reason: 'Conflict', message: `the record of the topic ${name} has changed meanwhile` });
    await write(next);
  };
  const createTopic = async () => {
    const copies = replicas ?? Math.min(defaultReplicas, await manager.brokers());
    // Kafka may still make what it was asked for before
    const before = record?.owner === owner ? record.proof : undefined;
    const attempt = { owner, proof: before ?? proofOf(retentionMs) };
    const config = { ...topicConfig(name, retentionMs), [retention]: attempt.proof };
    // before Kafka makes it: it would be nobody's if the operator ended then, or the API server did not take the record
    const begin = () => replace(record, attempt);
    const end = async (made: { id: string | undefined } | undefined) => {
      if (!made) await replace(attempt, record);
      else if (made.id !== undefined) await recordIt(made);
    };
    const created = await manager.createTopic({ name, partitions, replicas: copies, config }, begin, end);
    if (created?.id !== undefined) return created;
    const seen = await manager.topic(name);
    if (!seen) throw new KafkaProblem('KafkaSlow', `Kafka has made the topic ${name}, and no broker knows it yet`);
    // where Kafka has said that it has made it, nothing is to be proven
    if (!created && !(await isRecorded(name, seen, attempt, manager))) {
      await replace(attempt, record);
      throw new TopicTaken(name, strangers);
    }
    await recordIt(seen);
    return seen;
  };
  if (record && record.owner !== owner && keepsTopics(record.owner))
    throw new TopicTaken(name, `belongs to ${record.owner}`);
  const existing = await manager.topic(name);
  if (existing && !record) throw new TopicTaken(name, strangers);
  if (existing && record && !(await isRecorded(name, existing, record, manager))) {
    if (record.proof === undefined) throw new TopicTaken(name, 'was deleted and created again, and not by Millrace');
    await replace(record, undefined);
    throw new TopicTaken(name, strangers);
  }
  const isOwners = record?.owner === owner;
  const isWritten = isOwners && record.proof === undefined && (existing?.id === undefined || record.id === existing.id);
  if (existing && !isWritten) await recordIt(existing);
  const found = existing ?? (await createTopic());
  if (found.partitions > partitions)
    throw new KafkaProblem(
      'NotSupported',
      `the topic ${name} has ${found.partitions} partitions, and Kafka cannot take any away: declare ${found.partitions}`,
    );
  if (replicas !== undefined && found.replicas !== replicas)
    throw new KafkaProblem(
      'NotSupported',
      `the topic ${name} has ${found.replicas} replicas of each partition, not ${replicas}: move it with kafka-reassign-partitions.sh, or declare ${found.replicas}`,
    );
  if (found.partitions < partitions) await manager.addPartitions(name, partitions);
  const wanted: Record<string, string> = {
    ...topicConfig(name, retentionMs),
    // with three replicas, an acknowledged event is on two
    'min.insync.replicas': String(Math.max(1, found.replicas - 1)),
  };
  const config = await manager.config(name);
  // Redpanda has no min.insync.replicas, and refuses it
  const changes = Object.entries(wanted).filter(([key, value]) => key in config && config[key] !== value);
  if (changes.length > 0) await manager.changeConfig(name, Object.fromEntries(changes));
}
