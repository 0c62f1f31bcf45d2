import type { ConditionUpdate } from '#runtime/conditions.ts';
import type { EventService } from '../api/event-service.ts';
import type { ControllerContext } from '../controller-context.ts';
import type { ExternalKafka } from '../external-kafka/external-kafka.ts';
import { isAway } from '../external-kafka/problem.ts';
import { hasOwnUser } from '../external-kafka/users.ts';
import { usesKafka } from './kafka-user.ts';
import { StrimziKafka } from './strimzi-kafka.ts';

/** Whether a service leaves something in Kafka that goes with it: rights, which no owner reference deletes. */
export const hasRightsToTake = hasOwnUser;

/** Keeps the topics and the rights of a service in its Kafka, Strimzi's or another. */
export class ServiceKafka {
  readonly #strimzi: StrimziKafka;
  readonly #external: ExternalKafka;

  constructor(context: ControllerContext, external: ExternalKafka) {
    this.#strimzi = new StrimziKafka(context);
    this.#external = external;
  }

  /**
   * Creates and corrects the topics of a service, and its user with exactly its rights.
   * @param emitted the topics that its stream queries emit to
   * @returns a condition each
   */
  async keep(service: EventService, emitted: readonly string[], signal: AbortSignal): Promise<ConditionUpdate[]> {
    const { cluster, external } = service.spec.kafka ?? {};
    if (!usesKafka(service))
      return [
        { type: 'TopicsReady', status: 'True', reason: 'NoTopics', message: '' },
        { type: 'UserReady', status: 'True', reason: 'NoKafka', message: '' },
      ];
    if (cluster !== undefined)
      return [await this.#strimzi.topics(service, signal), await this.#strimzi.user(service, cluster, emitted, signal)];
    if (external) {
      const topics = await this.#external.topics(service, external, signal);
      if (isAway(topics.reason)) return [topics, { ...topics, type: 'UserReady' }];
      return [topics, await this.#external.user(service, external, emitted, signal)];
    }
    const message = 'spec.kafka is missing';
    return ['TopicsReady', 'UserReady'].map((type) => ({ type, status: 'False', reason: 'NoKafka', message }));
  }

  /** What there is to delete with a service: its topics, where they are to go. */
  async deletions(service: EventService, signal: AbortSignal): Promise<Map<string, () => Promise<void>>> {
    const { external } = service.spec.kafka ?? {};
    const topics = external
      ? (await this.#external.ownTopics(service, signal)).map((topic) => {
          return [topic, () => this.#external.deleteTopic(service, external, topic, signal)] as const;
        })
      : [...(await this.#strimzi.ownTopics(service, signal))].map(([name, topic]) => {
          return [name, () => this.#strimzi.deleteTopic(topic, signal)] as const;
        });
    return new Map(topics.map(([topic, remove]) => [`the topic ${topic}`, remove]));
  }

  /** Takes the rights of a service that is deleted. */
  async revoke(service: EventService, signal: AbortSignal): Promise<void> {
    const { external } = service.spec.kafka ?? {};
    if (external) await this.#external.revoke(service, external, signal);
  }
}
