import { messageOf } from '#platform/errors';
import { isRefusal } from '#runtime/errors.ts';
import { keyOf } from '#runtime/objects.ts';
import type { ControllerContext } from '../controller-context.ts';
import { isOfOtherTopic, kafkaTopicOf, topicNameOf } from '../kafka-topic.ts';
import type { FoundTopic } from '../kafka-topic.ts';
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
 * @returns which of them are somebody else's or refused, and why
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
    const isFree = (found: KafkaTopic) => isOfQuery(context, found, desired);
    const isOwn = (found: KafkaTopic) => isManaged(found) && isFree(found);
    try {
      const found = await applyOwn(context, context.kafkaTopics, desired, signal, isFree);
      kept.set(topic, isOwn(found) ? made : taken(found, desired));
    } catch (error) {
      const refused = refusalIn(error);
      const known = context.kafkaTopics.store.get(keyOf(desired));
      // a correction that is refused leaves the topic whose it is
      kept.set(topic, { ...refused, isOwn: known && isOwn(known) ? true : undefined });
    }
  }
  return kept;
}

/** How a topic is that the API server refuses, which is no fault of the other queries. @throws the error where it is no refusal */
export function refusalIn(error: unknown): StrimziReadiness {
  if (!isRefusal(error)) throw error;
  return { ready: false, failure: 'ReconcileRefused', message: messageOf(error) };
}

/** Earlier releases wrote the name of the query where that of a service is now, and made a topic as one is made now. */
function isOfQuery(
  { eventServices, streamQueries }: Pick<ControllerContext, 'eventServices' | 'streamQueries'>,
  found: FoundTopic,
  desired: KafkaTopic,
): boolean {
  if (isOfOtherTopic(found, desired)) return false;
  const { namespace = '', labels = {} } = found.metadata;
  if (labels[madeForQueryLabel] !== undefined) return true;
  const maker = `${namespace}/${labels[madeForLabel] ?? ''}`;
  if (eventServices.store.get(maker) || !streamQueries.store.get(maker)) return false;
  const retention = 'retention.ms';
  const { partitions, config } = desired.spec;
  return found.spec?.partitions === partitions && found.spec.config?.[retention] === config[retention];
}

function taken(found: KafkaTopic, desired: KafkaTopic): QueryTopic {
  return { ready: false, failure: 'TopicTaken', message: `the KafkaTopic ${whoseIs(found, desired)}`, isOwn: false };
}

function whoseIs(found: KafkaTopic, desired: KafkaTopic): string {
  const { name, labels } = found.metadata;
  if (isOfOtherTopic(found, desired))
    return `${name} is that of the topic ${topicNameOf(found)}: emit to another topic`;
  const whose = isManaged(found)
    ? `was made for ${labels?.[madeForLabel] ?? 'a service'}`
    : 'exists, and Millrace has not made it';
  return `${name} ${whose}: emit to another topic, or declare it in spec.produces of an EventService`;
}
