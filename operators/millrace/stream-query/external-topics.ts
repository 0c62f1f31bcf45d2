import type { Clock } from '#runtime/clock.ts';
import { equal } from '#runtime/compare.ts';
import type { Result } from '#runtime/queue.ts';
import type { ExternalKafka } from '../external-kafka/external-kafka.ts';
import { recheckMs } from '../external-kafka/findings.ts';
import { isAway, isUnseen } from '../external-kafka/problem.ts';
import type { StrimziReadiness } from '../strimzi.ts';
import { emittedTopic } from './topology.ts';
import { refusalIn } from './topics.ts';
import type { QueryTopic } from './topics.ts';

/** How long a pass over the topics of a namespace may take, in milliseconds: a slow Kafka is no reconcile that is stuck. */
const passMs = 30_000;

type Kafka = Parameters<ExternalKafka['emittedTopic']>[1];

/** The topics that a namespace is to have, and what is known of them. */
interface Round {
  kafka: Kafka;
  wanted: readonly string[];
  /** undefined until a pass has looked at some */
  known: ReadonlyMap<string, QueryTopic> | undefined;
  /** those that are still to be looked at */
  left: ReadonlySet<string>;
}

/**
 * Keeps the topics that queries emit to, and no service declares, in a Kafka that is not Strimzi's. Whoever asks how they are does not wait
 * for that Kafka.
 */
export class ExternalTopics {
  readonly #externalKafka: Pick<ExternalKafka, 'emittedTopic' | 'topicsOfQueries'>;
  readonly #clock: Clock;
  readonly #rounds = new Map<string, Round>();

  constructor(externalKafka: Pick<ExternalKafka, 'emittedTopic' | 'topicsOfQueries'>, clock: Clock) {
    this.#externalKafka = externalKafka;
    this.#clock = clock;
  }

  /** Says which topics a namespace is to have. @returns whether they are to be looked at, as that has changed */
  want(namespace: string, kafka: Kafka, wanted: readonly string[]): boolean {
    const round = this.#rounds.get(namespace);
    if (wanted.length === 0) {
      this.forget(namespace);
      return false;
    }
    if (round && equal(round.kafka, kafka)) {
      const isSame = equal(round.wanted, wanted);
      round.wanted = wanted;
      return !isSame;
    }
    this.#rounds.set(namespace, { kafka, wanted, known: undefined, left: new Set() });
    return true;
  }

  /** How the topics of a namespace are, as far as somebody has looked. */
  of(namespace: string): Map<string, QueryTopic> {
    const { wanted = [], known } = this.#rounds.get(namespace) ?? {};
    return new Map(wanted.map((topic) => [topic, known?.get(topic) ?? notLookedAt(topic)]));
  }

  /** Whether nobody has looked at any topic of a namespace that is to have some. */
  isUnknown(namespace: string): boolean {
    const round = this.#rounds.get(namespace);
    return round !== undefined && round.known === undefined;
  }

  /** Forgets a namespace whose topics are in no such Kafka any more. */
  forget(namespace: string): void {
    this.#rounds.delete(namespace);
  }

  /** Forgets everything: another process may have changed it meanwhile. */
  clear(): void {
    this.#rounds.clear();
  }

  /**
   * Looks at the topics of a namespace for a bounded time. The next pass goes on with those that are left; of these, what was found
   * last holds.
   * @returns whether they are otherwise than before, and when to look again
   */
  async keep(namespace: string, signal: AbortSignal): Promise<{ isChanged: boolean; result: Result }> {
    const round = this.#rounds.get(namespace);
    if (!round) return { isChanged: false, result: {} };
    const { kafka, wanted, known, left } = round;
    const isDue = (topic: string) => left.has(topic) || !known?.has(topic);
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
      const last = known?.get(topic);
      const isRecorded = owned.has(topic) || undefined;
      if (!kept) return last ?? { ...notLookedAt(topic), isOwn: isRecorded };
      // a record says nothing of a topic that somebody else has made anew since
      const isOwn = isUnseen(kept.failure) ? (last?.isOwn ?? isRecorded) : isRecorded;
      return { ...kept, isOwn: kept.failure === 'TopicTaken' ? false : isOwn };
    };
    round.known = new Map(wanted.map((topic) => [topic, shown(topic)] as const));
    round.left = new Set(due.filter((topic) => !found.has(topic)));
    const isChanged = known === undefined || !equal([...known], [...round.known]);
    if (round.left.size > 0) return { isChanged, result: { requeueAfterMs: 0 } };
    const areReady = [...round.known.values()].every(({ ready }) => ready);
    return { isChanged, result: areReady ? { requeueAfterMs: recheckMs } : { retry: true } };
  }
}

const notLookedAt = (topic: string): QueryTopic => ({
  ready: false,
  message: `the topic ${topic} is not looked at yet`,
  isOwn: undefined,
});
