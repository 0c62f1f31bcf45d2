import { topics } from '#platform/declarations';
import type { ConditionUpdate } from '#runtime/conditions.ts';
import { conditionOf } from '#runtime/conditions.ts';
import type { EventService } from '../api/event-service.ts';
import type { ControllerContext } from '../controller-context.ts';
import type { ExternalKafkaSpec } from '../external-kafka/connection.ts';
import type { ExternalKafka } from '../external-kafka/external-kafka.ts';
import { isAway } from '../external-kafka/problem.ts';
import { hasOwnUser, presentUserOf, userSecretName, usersIn } from '../external-kafka/users.ts';
import { usesKafka } from './kafka-user.ts';
import { StrimziKafka } from './strimzi-kafka.ts';

/** How the topics and the rights of a service are. */
interface KeptKafka {
  conditions: ConditionUpdate[];
  /** the users in an external Kafka who were given rights of it */
  users: string[];
}

/** Whether a service leaves something in Kafka that goes with it: rights, which no owner reference deletes. */
export const hasRightsToTake = (service: EventService): boolean => hasOwnUser(service) || usersIn(service).length > 0;

/** Keeps the topics and the rights of a service in its Kafka, Strimzi's or another. */
export class ServiceKafka {
  readonly #api: ControllerContext['api'];
  readonly #strimzi: StrimziKafka;
  readonly #external: ExternalKafka;

  constructor(context: ControllerContext, external: ExternalKafka) {
    this.#api = context.api;
    this.#strimzi = new StrimziKafka(context);
    this.#external = external;
  }

  /**
   * Creates and corrects the topics of a service, and its user with exactly its rights.
   * @param emitted the topics that its stream queries emit to; undefined while nobody knows: then the rights stay as they are
   */
  async keep(service: EventService, emitted: readonly string[] | undefined, signal: AbortSignal): Promise<KeptKafka> {
    const { external } = service.spec.kafka ?? {};
    const conditions = external
      ? await this.#keepExternal(service, external, emitted, signal)
      : await this.#keepStrimzi(service, emitted, signal);
    return { conditions, users: this.#external.rights.users(service) };
  }

  async #keepStrimzi(
    service: EventService,
    emitted: readonly string[] | undefined,
    signal: AbortSignal,
  ): Promise<ConditionUpdate[]> {
    const { cluster } = service.spec.kafka ?? {};
    if (!usesKafka(service)) {
      if (cluster !== undefined) await this.#strimzi.withdraw(service, cluster, signal);
      return [noTopics, { type: userReady, status: 'True', reason: 'NoKafka', message: '' }];
    }
    if (cluster === undefined) {
      const message = 'spec.kafka is missing';
      return ['TopicsReady', userReady].map((type) => ({ type, status: 'False', reason: 'NoKafka', message }));
    }
    const kept = await this.#strimzi.topics(service, signal);
    return [kept, emitted ? await this.#strimzi.user(service, cluster, emitted, signal) : asBefore(service)];
  }

  async #keepExternal(
    service: EventService,
    external: ExternalKafkaSpec,
    emitted: readonly string[] | undefined,
    signal: AbortSignal,
  ): Promise<ConditionUpdate[]> {
    const kept = usesKafka(service) ? await this.#external.topics(service, external, signal) : noTopics;
    if (isAway(kept.reason)) return [kept, { ...kept, type: userReady }];
    if (!emitted) return [kept, asBefore(service)];
    return [kept, { type: userReady, ...(await this.#external.rights.keep(service, external, emitted, signal)) }];
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

  /** Why nobody can take the rights of a service, however long one waits, as a sentence; undefined where somebody can. */
  async whyRightsStay(service: EventService, signal: AbortSignal): Promise<string | undefined> {
    const isKnown = this.#external.rights.users(service).length > 0;
    if (!service.spec.kafka?.external) return isKnown ? 'the EventService names their Kafka no more' : undefined;
    if (isKnown || !hasOwnUser(service) || !usesKafka(service)) return undefined;
    if ((await presentUserOf(this.#api, service, signal)) !== undefined) return undefined;
    return `the Secret ${userSecretName(service.metadata.name)} names no user, and the status does not either`;
  }

  /**
   * Takes the rights of a service that is deleted, and deletes the topics that were made for it where they are to go.
   * @param goes what is to go
   * @param left what `leaves` has said; what is done, or was never the service's, is taken from it
   */
  async cleanUp(
    service: EventService,
    goes: { rights: boolean; topics: boolean },
    left: Set<string>,
    signal: AbortSignal,
  ): Promise<void> {
    const { external } = service.spec.kafka ?? {};
    if (goes.rights) {
      if (external) await this.#external.rights.revoke(service, external, signal);
      left.delete(rightsOf(service));
    }
    if (!goes.topics) return;
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

const userReady = 'UserReady';
const noTopics: ConditionUpdate = { type: 'TopicsReady', status: 'True', reason: 'NoTopics', message: '' };

/** The condition of the user as it was, while nobody knows which topics the stream queries emit to. */
function asBefore({ status }: EventService): ConditionUpdate {
  const before = conditionOf(status?.conditions, userReady);
  const message = 'the topics of the stream queries are not looked at yet';
  const { status: is = 'False', reason = 'UserNotReady', message: said = message } = before ?? {};
  return { type: userReady, status: is, reason, message: said };
}

const topicNamed = (name: string) => `the topic ${name}`;
const rightsOf = (service: EventService) => {
  const users = usersIn(service);
  if (users.length > 0) return `the ACLs of ${users.join(' and ')}`;
  return `the ACLs of the user in the Secret ${userSecretName(service.metadata.name)}`;
};
