import { topics } from '#platform/declarations';
import type { Topic } from '#platform/declarations';
import type { Logger } from '#platform/telemetry';
import type { ConditionUpdate } from '#runtime/conditions.ts';
import { keyOf } from '#runtime/objects.ts';
import type { EventService } from '../api/event-service.ts';
import type { ControllerContext } from '../controller-context.ts';
import { OperatorError } from '../errors.ts';
import type { StrimziReadiness } from '../strimzi.ts';
import type { ExternalKafkaSpec } from './connection.ts';
import { Findings } from './findings.ts';
import type { Found } from './findings.ts';
import { outcomeOf, slow } from './outcome.ts';
import { KafkaProblem, isAway } from './problem.ts';
import { ExternalRights } from './rights.ts';
import { KafkaSessions } from './sessions.ts';
import {
  createRecords,
  ofQueries,
  ofService,
  readRecords,
  recordsName,
  serviceOf,
  writeRecord,
} from './topic-records.ts';
import type { TopicRecord } from './topic-records.ts';
import { isRecorded, keepTopic } from './topics.ts';

/** How long topics may keep a worker, in milliseconds, before another one is looked at: the next attempt goes on with that. */
const slowMs = 10_000;

/** Whose topics are kept, and where. */
interface Place {
  namespace: string;
  owner: string;
  kafka: { external: ExternalKafkaSpec; replicas?: number | undefined };
}

/** Keeps the topics and the ACLs of services in Kafkas that are not Strimzi's, over their admin API. */
export class ExternalKafka {
  readonly #context: Pick<ControllerContext, 'api' | 'clock' | 'eventServices'>;
  readonly #sessions: KafkaSessions;
  readonly #findings: Findings;
  /** of the users of services */
  readonly rights: ExternalRights;

  constructor(context: Pick<ControllerContext, 'api' | 'clock' | 'eventServices'>, log: Logger) {
    this.#context = context;
    this.#sessions = new KafkaSessions(context, log);
    this.#findings = new Findings(context.clock);
    this.rights = new ExternalRights(context, this.#sessions, this.#findings);
  }

  /** Creates and corrects the topics of a service. @returns the condition, which also says what the operator cannot do */
  async topics(service: EventService, external: ExternalKafkaSpec, signal: AbortSignal): Promise<ConditionUpdate> {
    const place = placeOf(service, external);
    const wanted = topics([service]);
    const outcome = await this.#findings.remember(`topics ${keyOf(service)}`, [place, wanted], (last) =>
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
    const { status, reason, message } = await this.#findings.remember(key, [place, topic], (last) =>
      this.#keepTopics(place, [topic], last, signal),
    );
    return status === 'True' ? { ready: true, message: '' } : { ready: false, failure: reason, message };
  }

  /** The topics of a namespace that were made for its stream queries. */
  async topicsOfQueries(namespace: string, signal: AbortSignal): Promise<Set<string>> {
    const records = (await readRecords(this.#context.api, namespace, signal)) ?? new Map<string, TopicRecord>();
    const isTheirs = ({ owner, proof }: TopicRecord) => owner === ofQueries && proof === undefined;
    return new Set([...records].flatMap(([topic, record]) => (isTheirs(record) ? [topic] : [])));
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
    const session = await this.#sessions.connect(namespace, external, signal);
    await this.#sessions.attempt(session, `delete the topic ${topic}`, signal, async ({ manager }) => {
      const found = await manager.topic(topic);
      if (found && record && (await isRecorded(topic, found, record, manager))) await manager.deleteTopic(topic);
    });
    await writeRecord(api, namespace, topic, undefined);
  }

  /** Forgets a service that is gone. @param key its namespace and name */
  forget(key: string): void {
    this.#findings.forget(`topics ${key}`);
    this.rights.forget(key);
  }

  async close(): Promise<void> {
    await this.#sessions.close();
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
    const keepsTopics = (other: string) => {
      const name = serviceOf(other);
      if (name === undefined) return false;
      // a service that is gone leaves its topics to the next one, but not to queries, whose retention would delete the events
      return owner === ofQueries || this.#context.eventServices.store.get(`${namespace}/${name}`) !== undefined;
    };
    const session = await this.#sessions.connect(namespace, external, signal);
    const problems = [...(last?.rest?.problems ?? [])];
    const begin = clock.now();
    let next = last?.rest?.next ?? 0;
    for (const topic of wanted.slice(next)) {
      signal.throwIfAborted();
      const record = records.get(topic.name);
      const read = async () => (await readRecords(api, namespace, signal))?.get(topic.name);
      const write = (made: Parameters<typeof writeRecord>[3]) => writeRecord(api, namespace, topic.name, made);
      try {
        await this.#sessions.attempt(session, `keep the topic ${topic.name}`, signal, ({ manager }) =>
          keepTopic(topic, { manager, owner, replicas, record, keepsTopics, read, write }),
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
}

function placeOf({ metadata: { namespace = '', name }, spec }: EventService, external: ExternalKafkaSpec): Place {
  return { namespace, owner: ofService(name), kafka: { external, replicas: spec.kafka?.replicas } };
}
