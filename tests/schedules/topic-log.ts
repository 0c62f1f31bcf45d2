import type { fakeKafka } from '#platform/kafka/testing/fake.ts';
import type { Random } from '#test/random.ts';
import type { LoggedRecord } from './check.ts';
import type { SimulatedClock } from './clock.ts';
import { recordHeader } from './parts.ts';
import type { Scheduler } from './scheduler.ts';
import { topic } from './writer.ts';

const lookEveryMs = 200;
/** how long it waits for those who read the topic to notice that it is deleted, in simulated milliseconds */
const noticeMs = 60_000;

export interface TopicLogOptions {
  random: Random;
  clock: SimulatedClock;
  scheduler: Scheduler;
  kafka: ReturnType<typeof fakeKafka>;
  partitions: number;
  /** asks up to which offset of each partition the inbox has read */
  offsets: () => Promise<ReadonlyMap<number, number>>;
}

/** The topic of the events: what is in it, and was in it when it was deleted. */
export class TopicLog {
  readonly #options: TopicLogOptions;
  /** the log of the topic that was deleted */
  #gone: LoggedRecord[] = [];
  /** whether it is deleted, and not created again */
  isAway = false;

  constructor(options: TopicLogOptions) {
    this.#options = options;
  }

  get wasDeleted(): boolean {
    return this.#gone.length > 0;
  }

  /** Everything that was ever in it. */
  get all(): LoggedRecord[] {
    return [...this.#gone, ...this.present];
  }

  /** What is in it now. */
  get present(): (LoggedRecord & { partition: number; offset: number })[] {
    const ends = new Map<number, number>();
    return this.#options.kafka.sent
      .filter((one) => one.topic === topic)
      .map(({ partition, message: { key, value, headers } }) => {
        const offset = ends.get(partition) ?? 0;
        ends.set(partition, offset + 1);
        const record = headers[recordHeader]!;
        return { id: headers['ce_id']!, key, record, value: value.toString(), partition, offset };
      });
  }

  /**
   * Somebody deletes the topic, and creates it again when all who read it have noticed, or have had the time for it: a member
   * that asks for its offsets in the topic asks again until there is one, and reads nothing meanwhile.
   */
  async delete(): Promise<void> {
    const { random, clock, scheduler, kafka, partitions, offsets } = this.#options;
    const read = await offsets();
    this.#gone = this.present.map(({ partition, offset, ...record }) => {
      const isGone = offset >= (read.get(partition) ?? 0);
      return { ...record, isGone };
    });
    kafka.deleteTopic(topic);
    this.isAway = true;
    scheduler.note(`${topic} is deleted`);
    const createAt = clock.now + random.int(1, 3_000);
    const noticedAt = clock.now + noticeMs;
    const create = () => {
      if (clock.now < createAt || (clock.now < noticedAt && !kafka.isDeserted(topic))) {
        scheduler.plan(Math.max(createAt, clock.now + lookEveryMs), create);
        return;
      }
      kafka.createTopic(topic, partitions);
      this.isAway = false;
      scheduler.note(`${topic} is created again`);
    };
    create();
  }
}
