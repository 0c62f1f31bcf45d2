import type { Clock } from '#runtime/clock.ts';
import type { ExternalKafka } from '../external-kafka/external-kafka.ts';
import { isAway } from '../external-kafka/problem.ts';
import type { StrimziReadiness } from '../strimzi.ts';
import { emittedTopic } from './topology.ts';
import { refusalIn } from './topics.ts';
import type { QueryTopic } from './topics.ts';

/** How long a pass over the topics of a namespace may take, in milliseconds: a slow Kafka is no reconcile that is stuck. */
const passMs = 30_000;

/** What is known of the topics of a namespace, and which of them are still to be looked at. */
interface Round {
  known: ReadonlyMap<string, QueryTopic>;
  left: ReadonlySet<string>;
}

const none: Round = { known: new Map(), left: new Set() };

/** Keeps the topics that queries emit to, and no service declares, in a Kafka that is not Strimzi's. */
export class ExternalTopics {
  readonly #externalKafka: Pick<ExternalKafka, 'emittedTopic' | 'topicsOfQueries'>;
  readonly #clock: Clock;
  readonly #rounds = new Map<string, Round>();

  constructor(externalKafka: Pick<ExternalKafka, 'emittedTopic' | 'topicsOfQueries'>, clock: Clock) {
    this.#externalKafka = externalKafka;
    this.#clock = clock;
  }

  /**
   * Looks at the topics of a namespace for a bounded time. The next pass goes on with those that are left; of these, what was found
   * last holds.
   * @returns how the topics are, and whether all of them are looked at
   */
  async keep(
    namespace: string,
    kafka: Parameters<ExternalKafka['emittedTopic']>[1],
    wanted: readonly string[],
    signal: AbortSignal,
  ): Promise<{ topics: Map<string, QueryTopic>; isOver: boolean }> {
    if (wanted.length === 0) {
      this.#rounds.delete(namespace);
      return { topics: new Map(), isOver: true };
    }
    const { known, left } = this.#rounds.get(namespace) ?? none;
    const isDue = (topic: string) => left.has(topic) || !known.has(topic);
    const due = wanted.some((topic) => left.has(topic)) ? wanted.filter(isDue) : wanted;
    const begin = this.#clock.now();
    const found = new Map<string, StrimziReadiness>();
    let away: StrimziReadiness | undefined;
    const keep = (topic: string) =>
      // the API server may refuse the record of one topic
      this.#externalKafka.emittedTopic(namespace, kafka, emittedTopic(topic), signal).catch(refusalIn);
    for (const topic of due) {
      if (!away && this.#clock.now() - begin > passMs) break;
      const kept = away ?? (await keep(topic));
      if (isAway(kept.failure)) away = kept;
      found.set(topic, kept);
    }
    const owned = await this.#externalKafka.topicsOfQueries(namespace, signal);
    const shown = (topic: string): QueryTopic => {
      const kept = found.get(topic);
      const isOwn = kept?.failure === 'TopicTaken' ? false : owned.has(topic) || undefined;
      if (kept) return { ...kept, isOwn };
      return known.get(topic) ?? { ready: false, message: `the topic ${topic} is not looked at yet`, isOwn };
    };
    const topics = new Map(wanted.map((topic) => [topic, shown(topic)] as const));
    const rest = new Set(due.filter((topic) => !found.has(topic)));
    this.#rounds.set(namespace, { known: topics, left: rest });
    return { topics, isOver: rest.size === 0 };
  }
}
