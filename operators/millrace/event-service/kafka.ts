import { topics } from '#platform/declarations';
import type { ConditionUpdate } from '#runtime/conditions.ts';
import type { EventService } from '../api/event-service.ts';
import type { ControllerContext } from '../controller-context.ts';
import type { ExternalKafka } from '../external-kafka/external-kafka.ts';
import { isAway } from '../external-kafka/problem.ts';
import { hasOwnUser, userSecretName } from '../external-kafka/users.ts';
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
      const kept = await this.#external.topics(service, external, signal);
      if (isAway(kept.reason)) return [kept, { ...kept, type: 'UserReady' }];
      return [kept, await this.#external.user(service, external, emitted, signal)];
    }
    const message = 'spec.kafka is missing';
    return ['TopicsReady', 'UserReady'].map((type) => ({ type, status: 'False', reason: 'NoKafka', message }));
  }

  /** What goes with a service, for people: its rights, and its topics where they are to go. */
  leaves(service: EventService, deletesTopics: boolean): string[] {
    const { cluster, external } = service.spec.kafka ?? {};
    const hasTopics = deletesTopics && (cluster ?? external) !== undefined;
    return [
      ...(hasRightsToTake(service) ? [rightsOf(service)] : []),
      ...(hasTopics ? topics([service]).map(({ name }) => topicNamed(name)) : []),
    ];
  }

  /**
   * Takes the rights of a service that is deleted, and deletes the topics that were made for it where they are to go.
   * @param left what `leaves` has said; what is done, or was never the service's, is taken from it
   */
  async cleanUp(service: EventService, deletesTopics: boolean, left: Set<string>, signal: AbortSignal): Promise<void> {
    const { external } = service.spec.kafka ?? {};
    if (external) await this.#external.revoke(service, external, signal);
    left.delete(rightsOf(service));
    if (!deletesTopics) return;
    const own = await this.#ownTopics(service, signal);
    for (const { name } of topics([service])) {
      await own.get(name)?.();
      left.delete(topicNamed(name));
    }
  }

  /** The topics that were made for a service, each with what deletes it. */
  async #ownTopics(service: EventService, signal: AbortSignal): Promise<Map<string, () => Promise<void>>> {
    const { external } = service.spec.kafka ?? {};
    if (external) {
      const own = await this.#external.ownTopics(service, signal);
      return new Map(own.map((topic) => [topic, () => this.#external.deleteTopic(service, external, topic, signal)]));
    }
    const own = await this.#strimzi.ownTopics(service, signal);
    return new Map([...own].map(([name, topic]) => [name, () => this.#strimzi.deleteTopic(topic, signal)]));
  }
}

const topicNamed = (name: string) => `the topic ${name}`;
const rightsOf = ({ metadata }: EventService) => `the ACLs of the user in the Secret ${userSecretName(metadata.name)}`;
