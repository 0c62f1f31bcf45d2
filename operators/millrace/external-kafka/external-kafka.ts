import { topics } from '#platform/declarations';
import type { Topic } from '#platform/declarations';
import { createKafkaManager } from '#platform/kafka';
import type { KafkaManager } from '#platform/kafka';
import type { Logger } from '#platform/telemetry';
import { hash } from '#runtime/compare.ts';
import type { ConditionUpdate } from '#runtime/conditions.ts';
import { ApiError } from '#runtime/errors.ts';
import { keyOf } from '#runtime/objects.ts';
import type { EventService } from '../api/event-service.ts';
import type { ControllerContext } from '../controller-context.ts';
import { aclsOf, usesKafka } from '../event-service/kafka-user.ts';
import { OperatorError } from '../errors.ts';
import { byNamespace } from '../informers.ts';
import { KafkaClients } from '../kafka-clients.ts';
import { manager as managerName } from '../labels.ts';
import { SilentServers } from '../silent-servers.ts';
import type { StrimziReadiness } from '../strimzi.ts';
import { boundedManager } from './bounded-manager.ts';
import type { BoundedManager } from './bounded-manager.ts';
import { connectionTo } from './connection.ts';
import type { ExternalKafkaSpec } from './connection.ts';
import { failed, fine, outcomeOf, slow } from './outcome.ts';
import type { Outcome } from './outcome.ts';
import { KafkaProblem, isAway, problemOf } from './problem.ts';
import {
  createRecords,
  ofQueries,
  ofService,
  readRecords,
  recordsName,
  serviceOf,
  writeRecord,
} from './topic-records.ts';
import { keepTopic } from './topics.ts';
import { hasOwnUser, keepRights, ownUserOf } from './users.ts';

/** How often what is right is checked, in milliseconds, and what is not. */
export const recheckMs = 30_000;
export const retryMs = 5_000;

/** How long topics may keep a worker, in milliseconds, before another one is looked at: the next attempt goes on with that. */
const slowMs = 10_000;

/** Whose topics are kept, and where. */
interface Place {
  namespace: string;
  owner: string;
  kafka: { external: ExternalKafkaSpec; replicas?: number | undefined };
}

/** A Kafka, and as whom the operator connects; undefined where clients say nothing of themselves. */
interface Session {
  manager: BoundedManager;
  user: string | undefined;
}

/** What is found, and which topics are still to be looked at, with the problems of those before. */
interface Found {
  outcome: Outcome;
  rest?: { next: number; problems: readonly KafkaProblem[] } | undefined;
}

/** Keeps the topics and the ACLs of services in Kafkas that are not Strimzi's, over their admin API. */
export class ExternalKafka {
  readonly #context: Pick<ControllerContext, 'api' | 'clock' | 'eventServices'>;
  readonly #managers: KafkaClients<KafkaManager>;
  readonly #silent: SilentServers;
  /** what was found last, so that Kafka is not asked at each reconcile */
  readonly #found = new Map<string, Found & { hash: string; at: number }>();

  constructor(context: Pick<ControllerContext, 'api' | 'clock' | 'eventServices'>, log: Logger) {
    this.#context = context;
    this.#silent = new SilentServers(context.clock);
    this.#managers = new KafkaClients(
      (connection) => createKafkaManager({ ...connection, clientId: managerName, log }),
      { clock: context.clock, log },
    );
  }

  /** Creates and corrects the topics of a service. @returns the condition, which also says what the operator cannot do */
  async topics(service: EventService, external: ExternalKafkaSpec, signal: AbortSignal): Promise<ConditionUpdate> {
    const place = placeOf(service, external);
    const wanted = topics([service]);
    const outcome = await this.#remember(`topics ${keyOf(service)}`, [place, wanted], (last) =>
      this.#keepTopics(place, wanted, last, signal),
    );
    return { type: 'TopicsReady', ...outcome };
  }

  /** Creates and corrects a topic that stream queries of a namespace emit to, and no service declares. */
  async emittedTopic(
    namespace: string,
    kafka: Place['kafka'],
    topic: Topic,
    signal: AbortSignal,
  ): Promise<StrimziReadiness> {
    const place = { namespace, owner: ofQueries, kafka };
    const key = `topic ${namespace}/${topic.name}`;
    const { status, reason, message } = await this.#remember(key, [place, topic], (last) =>
      this.#keepTopics(place, [topic], last, signal),
    );
    return status === 'True' ? { ready: true, message: '' } : { ready: false, failure: reason, message };
  }

  /** Gives the user of a service its rights. @param emitted the topics that its stream queries emit to */
  async user(
    service: EventService,
    external: ExternalKafkaSpec,
    emitted: readonly string[],
    signal: AbortSignal,
  ): Promise<ConditionUpdate> {
    const type = 'UserReady';
    if (!usesKafka(service)) return { type, status: 'True', reason: 'NoKafka', message: '' };
    if (!hasOwnUser(service)) return { type, status: 'True', reason: 'Shared', message: '' };
    const rights = aclsOf(service, emitted);
    const outcome = await this.#remember(`user ${keyOf(service)}`, [external, rights], async () => {
      await this.#keepUser(service, external, rights, signal);
      return { outcome: fine };
    });
    return { type, ...outcome };
  }

  /** The topics of a service that it has made. @throws OperatorError where nobody knows them any more */
  async ownTopics(service: EventService, signal: AbortSignal): Promise<string[]> {
    const { namespace = '', name } = service.metadata;
    const declared = topics([service]).map((topic) => topic.name);
    if (declared.length === 0) return [];
    const records = await readRecords(this.#context.api, namespace, signal);
    if (!records) {
      const message = `the ConfigMap ${recordsName}, which says whose the topics are, does not exist`;
      throw new OperatorError('ERR_OPERATOR_KAFKA', message);
    }
    return declared.filter((topic) => records.get(topic)?.owner === ofService(name));
  }

  /** Deletes a topic of a service, unless somebody else has made it anew. @throws KafkaProblem */
  async deleteTopic(service: EventService, external: ExternalKafkaSpec, topic: string, signal: AbortSignal) {
    const { api } = this.#context;
    const { namespace = '' } = service.metadata;
    const record = (await readRecords(api, namespace, signal))?.get(topic);
    const session = await this.#connect(namespace, external, signal);
    await this.#attempt(session, `delete the topic ${topic}`, signal, async ({ manager }) => {
      const found = await manager.topic(topic);
      const isOwn = found && (found.id === undefined || record?.id === undefined || found.id === record.id);
      if (isOwn) await manager.deleteTopic(topic);
    });
    await writeRecord(api, namespace, topic, undefined);
  }

  /** Takes all rights from the user of a service, if it has one. @throws KafkaProblem */
  async revoke(service: EventService, external: ExternalKafkaSpec, signal: AbortSignal): Promise<void> {
    if (!hasOwnUser(service)) return;
    try {
      await this.#keepUser(service, external, [], signal);
    } catch (error) {
      // without its Secret nobody knows the user, and another's user keeps its rights
      const isNobodys = error instanceof KafkaProblem && ['NoKafkaUser', 'UserTaken'].includes(error.reason);
      if (!isNobodys) throw error;
    }
  }

  /** Forgets a service that is gone. @param key its namespace and name */
  forget(key: string): void {
    for (const what of ['topics', 'user']) this.#found.delete(`${what} ${key}`);
  }

  async close(): Promise<void> {
    await this.#managers.close();
  }

  /**
   * Looks at topics, from where the last attempt has left off.
   * @param last while a round of all topics is not over, what was found by the last one holds
   */
  async #keepTopics(
    place: Place,
    wanted: readonly Topic[],
    last: Found | undefined,
    signal: AbortSignal,
  ): Promise<Found> {
    const { api, clock } = this.#context;
    const { namespace, owner, kafka } = place;
    const { external, replicas } = kafka;
    const records = (await readRecords(api, namespace, signal)) ?? (await createRecords(api, namespace, signal));
    const isAlive = (other: string) => {
      const name = serviceOf(other);
      return name !== undefined && this.#context.eventServices.store.get(`${namespace}/${name}`) !== undefined;
    };
    const session = await this.#connect(namespace, external, signal);
    const problems = [...(last?.rest?.problems ?? [])];
    const begin = clock.now();
    let next = last?.rest?.next ?? 0;
    for (const topic of wanted.slice(next)) {
      signal.throwIfAborted();
      const record = records.get(topic.name);
      const write = (made: Parameters<typeof writeRecord>[3]) => writeRecord(api, namespace, topic.name, made);
      try {
        await this.#attempt(session, `keep the topic ${topic.name}`, signal, ({ manager }) =>
          keepTopic(topic, { manager, owner, replicas, record, isAlive, write }),
        );
      } catch (error) {
        if (!(error instanceof KafkaProblem)) throw error;
        problems.push(error);
        if (isAway(error.reason)) return { outcome: outcomeOf(problems, namespace, owner) };
      }
      next += 1;
      if (clock.now() - begin > slowMs) break;
    }
    if (next === wanted.length) return { outcome: outcomeOf(problems, namespace, owner) };
    const before = last && !isAway(last.outcome.reason) ? last.outcome : slow;
    return { outcome: problems.length > 0 ? outcomeOf(problems, namespace, owner) : before, rest: { next, problems } };
  }

  async #keepUser(
    service: EventService,
    external: ExternalKafkaSpec,
    rights: ReturnType<typeof aclsOf>,
    signal: AbortSignal,
  ): Promise<void> {
    const { api, eventServices } = this.#context;
    const { namespace = '', name } = service.metadata;
    const others = eventServices.store.by(byNamespace, namespace).filter(({ metadata }) => metadata.name !== name);
    const session = await this.#connect(namespace, external, signal);
    await this.#attempt(session, `keep the ACLs of ${name}`, signal, async ({ manager, user: operatorUser }) => {
      const user = await ownUserOf(api, service, others, operatorUser, signal);
      await keepRights(manager, user, rights);
    });
  }

  /** @throws KafkaProblem where a Secret is missing */
  async #connect(namespace: string, external: ExternalKafkaSpec, signal: AbortSignal): Promise<Session> {
    const connection = await connectionTo(this.#context.api, namespace, external, signal);
    const manager = this.#managers.get(`${namespace} ${hash(external)}`, connection);
    const address = connection.brokers.join();
    const bounded = boundedManager(manager, { address, silent: this.#silent, signal });
    return { manager: bounded, user: connection.sasl?.username };
  }

  /** Does something with a Kafka. @throws KafkaProblem where Kafka does not do it */
  async #attempt(
    session: Session,
    what: string,
    signal: AbortSignal,
    work: (session: Session) => Promise<void>,
  ): Promise<void> {
    try {
      await work(session);
    } catch (error) {
      if (signal.aborted || error instanceof ApiError) throw error;
      throw problemOf(error, what, session.user);
    }
  }

  /** What was found a short time ago for the same, or what is found now. @param find is told what was found last for the same */
  async #remember(key: string, asked: unknown, find: (last: Found | undefined) => Promise<Found>): Promise<Outcome> {
    const { clock } = this.#context;
    const wanted = hash(asked);
    const known = this.#found.get(key);
    const last = known?.hash === wanted ? known : undefined;
    const freshMs = last?.outcome.status === 'True' ? recheckMs : retryMs;
    if (last && clock.now() - last.at < freshMs) return last.outcome;
    const found = await find(last).catch((error: unknown) => {
      if (error instanceof KafkaProblem) return { outcome: failed(error) };
      throw error;
    });
    this.#found.set(key, { ...found, hash: wanted, at: clock.now() });
    return found.outcome;
  }
}

function placeOf({ metadata: { namespace = '', name }, spec }: EventService, external: ExternalKafkaSpec): Place {
  return { namespace, owner: ofService(name), kafka: { external, replicas: spec.kafka?.replicas } };
}
