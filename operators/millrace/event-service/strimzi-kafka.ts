import type { ConditionUpdate } from '#runtime/conditions.ts';
import { keyOf } from '#runtime/objects.ts';
import type { EventService } from '../api/event-service.ts';
import { kafkaTopics, kafkaUsers } from '../api/kinds.ts';
import type { ControllerContext } from '../controller-context.ts';
import { madeForLabel } from '../labels.ts';
import { strimziMissing } from '../strimzi.ts';
import type { KafkaTopic, KafkaUser } from '../strimzi.ts';
import { kafkaUserOf, userCondition } from './kafka-user.ts';
import { otherOwner, topicsCondition, topicsOf } from './topics.ts';

/** Keeps the topics and the user of a service in a Kafka of Strimzi, as resources. */
export class StrimziKafka {
  readonly #context: ControllerContext;

  constructor(context: ControllerContext) {
    this.#context = context;
  }

  async topics(service: EventService, signal: AbortSignal): Promise<ConditionUpdate> {
    const { applier, kafkaTopics: topics } = this.#context;
    const missing = strimziMissing(topics);
    if (missing) return { type: 'TopicsReady', status: 'False', reason: missing.failure, message: missing.message };
    const observed: (KafkaTopic | undefined)[] = [];
    for (const desired of topicsOf(service)) {
      const before = topics.store.get(keyOf(desired));
      const taken = otherOwner(service, before) !== undefined && !this.#isOrphan(before!);
      const { object } = taken
        ? { object: before }
        : await applier.apply<KafkaTopic>(kafkaTopics, desired, before, signal);
      observed.push(object);
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
    const { applier, kafkaUsers: users } = this.#context;
    const missing = strimziMissing(users);
    if (missing) return { type: 'UserReady', status: 'False', reason: missing.failure, message: missing.message };
    const desired = kafkaUserOf(service, cluster, emitted);
    const { object } = await applier.apply<KafkaUser>(kafkaUsers, desired, users.store.get(keyOf(desired)), signal);
    return userCondition(object);
  }

  /** The topics of a service that are no other's, by name. */
  ownTopics(service: EventService): Map<string, KafkaTopic> {
    const { store } = this.#context.kafkaTopics;
    const own = topicsOf(service).filter((topic) => otherOwner(service, store.get(keyOf(topic))) === undefined);
    return new Map(own.map((topic) => [topic.spec.topicName ?? topic.metadata.name, topic]));
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
