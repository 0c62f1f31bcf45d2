import type { ConditionUpdate } from '#runtime/conditions.ts';
import { controllerOf, keyOf } from '#runtime/objects.ts';
import type { EventService } from '../api/event-service.ts';
import { kafkaTopics } from '../api/kinds.ts';
import type { ControllerContext } from '../controller-context.ts';
import { isManaged, madeForLabel, ownUserPrefix } from '../labels.ts';
import { isOfOtherTopic, topicNameOf } from '../kafka-topic.ts';
import { applyOwn, findObject } from '../own-objects.ts';
import { strimziMissing } from '../strimzi.ts';
import type { KafkaTopic } from '../strimzi.ts';
import { aclsOf, kafkaUserOf, userCondition } from './kafka-user.ts';
import { otherOwner, topicsCondition, topicsOf } from './topics.ts';
import type { ObservedTopic } from './topics.ts';

/** Keeps the topics and the user of a service in a Kafka of Strimzi, as resources. */
export class StrimziKafka {
  readonly #context: ControllerContext;

  constructor(context: ControllerContext) {
    this.#context = context;
  }

  async topics(service: EventService, signal: AbortSignal): Promise<ConditionUpdate> {
    const { kafkaTopics: topics } = this.#context;
    const missing = strimziMissing(topics);
    if (missing) return { type: 'TopicsReady', status: 'False', reason: missing.failure, message: missing.message };
    const observed: ObservedTopic[] = [];
    for (const desired of topicsOf(service)) {
      const isFree = (topic: KafkaTopic) =>
        !isOfOtherTopic(topic, desired) && (otherOwner(service, topic) === undefined || this.#isOrphan(topic));
      observed.push({ desired, found: await applyOwn(this.#context, topics, desired, signal, isFree) });
    }
    return topicsCondition(service, observed);
  }

  /** @param emitted the topics that the stream queries of the service emit to */
  async user(
    service: EventService,
    cluster: string,
    emitted: readonly string[],
    signal: AbortSignal,
  ): Promise<ConditionUpdate> {
    const { kafkaUsers: users } = this.#context;
    const missing = strimziMissing(users);
    if (missing) return { type: 'UserReady', status: 'False', reason: missing.failure, message: missing.message };
    if (service.metadata.name.startsWith(ownUserPrefix)) {
      const message = `the operator's own KafkaUsers are called ${ownUserPrefix}<Kafka>: name the service otherwise`;
      return { type: 'UserReady', status: 'False', reason: 'UserTaken', message };
    }
    const desired = kafkaUserOf(service, cluster, aclsOf(service, emitted));
    return userCondition(await applyOwn(this.#context, users, desired, signal));
  }

  /** Takes all rights from the user of a service that produces and consumes nothing any more, if it has one. */
  async withdraw(service: EventService, cluster: string, signal: AbortSignal): Promise<void> {
    const { kafkaUsers: users } = this.#context;
    const found = users.store.get(keyOf(service));
    if (!found || controllerOf(found, 'EventService') !== service.metadata.name) return;
    await applyOwn(this.#context, users, kafkaUserOf(service, cluster, []), signal);
  }

  /** The topics of a service that were made for it, by name. */
  async ownTopics(service: EventService, signal: AbortSignal): Promise<Map<string, KafkaTopic>> {
    const own = new Map<string, KafkaTopic>();
    for (const topic of topicsOf(service)) {
      const found = await findObject(this.#context, this.#context.kafkaTopics, topic, signal);
      const isOwn =
        found &&
        isManaged(found) &&
        !isOfOtherTopic(found, topic) &&
        found.metadata.labels?.[madeForLabel] === service.metadata.name;
      if (isOwn) own.set(topicNameOf(topic), topic);
    }
    return own;
  }

  async deleteTopic(topic: KafkaTopic, signal: AbortSignal): Promise<void> {
    const { api, applier } = this.#context;
    await api.delete(kafkaTopics, topic.metadata.namespace, topic.metadata.name, { signal });
    applier.forget(kafkaTopics, topic);
  }

  /** Whether the service of a topic is deleted. The next service that declares the topic then gets it. */
  #isOrphan(topic: KafkaTopic): boolean {
    const { namespace = '', labels } = topic.metadata;
    const key = `${namespace}/${labels?.[madeForLabel] ?? ''}`;
    return !this.#context.eventServices.store.get(key);
  }
}
