import type { ControllerContext } from '../controller-context.ts';
import { kafkaTopicOf } from '../kafka-topic.ts';
import { isManaged, madeForLabel, madeForQueryLabel } from '../labels.ts';
import { applyOwn } from '../own-objects.ts';
import type { KafkaTopic, StrimziReadiness } from '../strimzi.ts';
import { emittedTopic } from './topology.ts';

/** How a topic is that queries emit to, and no service declares. */
export interface QueryTopic extends StrimziReadiness {
  /** whether it was made for queries; undefined while nobody knows */
  isOwn: boolean | undefined;
}

/** A topic of queries in a Kafka of Strimzi; the KafkaTopic says whether it is there already. */
const made: QueryTopic = { ready: true, message: '', isOwn: true };

/**
 * Creates and corrects, in a Kafka of Strimzi, the topics that queries emit to and no service declares. It changes none that was
 * made for a service, also where that is gone: its events would go with its retention.
 * @param topics each with the name of a query
 * @returns which of them are somebody else's, and why
 */
export async function keepQueryTopics(
  context: ControllerContext,
  kafka: Pick<Parameters<typeof kafkaTopicOf>[1], 'namespace' | 'cluster' | 'replicas'>,
  topics: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<Map<string, QueryTopic>> {
  const kept = new Map<string, QueryTopic>();
  for (const [topic, query] of topics) {
    const desired = kafkaTopicOf(emittedTopic(topic), { ...kafka, madeFor: { [madeForQueryLabel]: query } });
    const isFree = (found: KafkaTopic) => isOfQuery(found, desired);
    const found = await applyOwn(context, context.kafkaTopics, desired, signal, isFree);
    const isOwn = isManaged(found) && isOfQuery(found, desired);
    kept.set(topic, isOwn ? made : { ready: false, failure: 'TopicTaken', message: whoseIs(found), isOwn });
  }
  return kept;
}

/** Earlier releases did not say that a topic was made for a query: then it is as one is made. */
function isOfQuery({ metadata, spec }: KafkaTopic, desired: KafkaTopic): boolean {
  if (metadata.labels?.[madeForQueryLabel] !== undefined) return true;
  const retention = 'retention.ms';
  return spec.partitions === desired.spec.partitions && spec.config[retention] === desired.spec.config[retention];
}

function whoseIs(topic: KafkaTopic): string {
  const { name, labels } = topic.metadata;
  const whose = isManaged(topic)
    ? `was made for ${labels?.[madeForLabel] ?? 'a service'}`
    : 'exists, and Millrace has not made it';
  return `the KafkaTopic ${name} ${whose}: emit to another topic, or declare it in spec.produces of an EventService`;
}
