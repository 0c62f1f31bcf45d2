import { messageOf } from '#platform/errors';
import type { Refusal } from '#platform/kafka';

/** how long a partition fails before it is given up for the time being */
const failingMs = 10_000;
/** the pause after an attempt with such a partition: an attempt can take seconds, in which the relay publishes nothing else */
const retryMs = 10_000;

/** A partition, or a topic whose partitions are not known. */
export interface Destination {
  topic: string;
  partition?: number;
}

interface Failing {
  first: number;
  /** the first failure after others have taken messages; undefined while everything fails */
  since: number | undefined;
  /** why its messages are refused; undefined before it is given up */
  refusal: Refusal | undefined;
  /** by the clock of `performance.now()` */
  retryAt: number;
}

/**
 * The partitions that fail while others take messages: their leader or their replicas are away, a disk is broken, a policy refuses
 * everything. After 10 s their messages count as refused, so that they are parked and hold up no others. While nothing is taken at all,
 * Kafka is away: then messages wait where they are.
 */
export class FailingPartitions {
  readonly #failing = new Map<string, Failing>();
  /** when anything was last taken, by the clock of `performance.now()` */
  #taken = Number.NEGATIVE_INFINITY;

  /**
   * Why the messages of a destination are refused without an attempt.
   * @param isRetry whether they are parked ones, which are tried when that is due: these alone find out that it takes messages again
   */
  refusalOf(to: Destination, isRetry: boolean, now = performance.now()): Refusal | undefined {
    const failing = this.#failing.get(nameOf(to));
    return failing && !(isRetry && failing.retryAt <= now) ? failing.refusal : undefined;
  }

  /** Notes a failure. @returns why the messages are refused, once the destination has failed for long while others have not */
  failed(to: Destination, error: unknown, now = performance.now()): Refusal | undefined {
    const name = nameOf(to);
    const failing = this.#failing.get(name) ?? { ...none, first: now };
    this.#failing.set(name, failing);
    failing.retryAt = now + retryMs;
    if (failing.since === undefined && this.#taken > failing.first) failing.since = now;
    const { since = now, refusal } = failing;
    if (refusal || (now - since >= failingMs && this.#taken > since))
      failing.refusal = { of: 'message', reason: `${messageOf(error)}, while other partitions take messages` };
    return failing.refusal;
  }

  /** Notes that a partition has taken messages. */
  took(to: Required<Destination>, now = performance.now()): void {
    this.#failing.delete(nameOf(to));
    this.#failing.delete(to.topic);
    this.#taken = now;
  }
}

const none = { since: undefined, refusal: undefined, retryAt: 0 };

const nameOf = ({ topic, partition }: Destination) => (partition === undefined ? topic : `${topic}/${partition}`);
