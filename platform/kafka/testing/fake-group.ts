import type { TopicPartition } from '../port.ts';
import { brokerError } from './fake-error.ts';

export interface Membership {
  generation: number;
  partitions: TopicPartition[];
}

interface Member {
  topics: readonly string[];
  sessionMs: number;
  /** by the clock of `performance.now()` */
  lastBeat: number;
}

/**
 * A consumer group as its coordinator has it. It assigns the partitions anew at once when a member comes, goes, or is silent for
 * longer than its session; the others learn of it by their next heartbeat, and until then read what is no longer theirs.
 */
export class FakeGroup {
  readonly #partitionsOf: (topic: string) => number | undefined;
  readonly #members = new Map<string, Member>();
  readonly committed = new Map<string, TopicPartition & { offset: bigint }>();
  #generation = 0;
  /** by how many members the partitions are moved on */
  #turn = 0;

  constructor(partitionsOf: (topic: string) => number | undefined) {
    this.#partitionsOf = partitionsOf;
  }

  /** Those of some topics that do not exist. */
  missing(topics: readonly string[]): string[] {
    return topics.filter((topic) => this.#partitionsOf(topic) === undefined);
  }

  /** @param wanted those that exist are read */
  join(id: string, wanted: readonly string[], sessionMs: number): Membership {
    const topics = wanted.filter((topic) => this.#partitionsOf(topic) !== undefined);
    if (topics.length === 0)
      throw brokerError('UNKNOWN_TOPIC_OR_PARTITION', `there is no topic ${this.missing(wanted).join(', ')}`);
    this.#expire();
    const isNew = !this.#members.has(id);
    this.#members.set(id, { topics, sessionMs, lastBeat: performance.now() });
    if (isNew) this.#generation += 1;
    return { generation: this.#generation, partitions: this.#partitionsFor(id) };
  }

  /** @throws if the partitions were assigned anew since the member joined */
  beat(id: string, generation: number): void {
    this.#expire();
    const member = this.#members.get(id);
    if (!member) throw brokerError('UNKNOWN_MEMBER_ID');
    member.lastBeat = performance.now();
    if (generation !== this.#generation) throw brokerError('REBALANCE_IN_PROGRESS');
  }

  leave(id: string): void {
    if (this.#members.delete(id)) this.#generation += 1;
  }

  /** Gives partitions to other members, with nobody having come or gone. */
  rebalance(): void {
    this.#turn += 1;
    this.#generation += 1;
  }

  /** The topic is deleted, and with it the offsets of the group. */
  forget(topic: string): void {
    for (const [name, at] of this.committed) if (at.topic === topic) this.committed.delete(name);
  }

  hasReaderOf(topic: string): boolean {
    this.#expire();
    return this.#members.values().some(({ topics }) => topics.includes(topic));
  }

  #expire(): void {
    const now = performance.now();
    for (const [id, { lastBeat, sessionMs }] of this.#members) if (now - lastBeat > sessionMs) this.leave(id);
  }

  #partitionsFor(id: string): TopicPartition[] {
    const ids = [...this.#members.keys()].toSorted();
    const topics = new Set(this.#members.values().flatMap((member) => member.topics));
    const all = [...topics].flatMap((topic) =>
      Array.from({ length: this.#partitionsOf(topic) ?? 0 }, (_, partition) => ({ topic, partition })),
    );
    return all.filter((_, i) => ids[(i + this.#turn) % ids.length] === id);
  }
}
