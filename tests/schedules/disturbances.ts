import { brokerError } from '#platform/kafka/testing/fake-error.ts';
import type { fakeKafka } from '#platform/kafka/testing/fake.ts';
import type { Random } from '#test/random.ts';
import type { Outage } from './call.ts';
import type { Cast } from './cast.ts';
import type { SimulatedClock } from './clock.ts';
import { inboxGroup } from './parts.ts';
import type { Scheduler } from './scheduler.ts';
import { streamGroup } from './streams.ts';
import { keys, topic } from './writer.ts';

const kinds = ['rebalance', 'stop', 'crash', 'refusal', 'no-database', 'no-kafka', 'locked'] as const;
/** what a lock can be on beside the table of effects, by the start of a name */
const lockable = ['aggregates', 'millrace.inbox_', 'millrace.dead_letters', 'millrace.outbox', 'stream_'];

export interface DisturbanceOptions {
  random: Random;
  clock: SimulatedClock;
  scheduler: Scheduler;
  kafka: ReturnType<typeof fakeKafka>;
  cast: Cast;
  /** when they end, in simulated milliseconds */
  until: number;
}

/** The faults that are not of a single call. */
export class Disturbances {
  readonly #options: DisturbanceOptions;
  #until: number;
  #isOver = false;

  constructor(options: DisturbanceOptions) {
    this.#options = options;
    this.#until = options.until;
  }

  /** When the last of them ends, in simulated milliseconds. */
  get until(): number {
    return this.#until;
  }

  /** Ends those that go on; no other comes. */
  end(): void {
    this.#isOver = true;
    this.#options.scheduler.outage = undefined;
  }

  /** Draws one. */
  draw(): void {
    if (this.#isOver) return;
    const { random, scheduler, kafka, cast } = this.#options;
    const role = random.pick(cast.roles);
    const kind = random.pick(kinds);
    scheduler.note(`${kind} ${role.name}`);
    if (kind === 'rebalance') kafka.rebalance(random.pick([inboxGroup, streamGroup]));
    else if (kind === 'crash') scheduler.crash(role.actor!);
    else if (kind === 'stop') cast.replace(role);
    else if (kind === 'refusal') this.#refuse();
    else if (kind === 'locked') this.lock(random.chance(0.5) ? 'effects' : random.pick(lockable));
    else {
      const server = kind === 'no-kafka' ? 'Kafka' : 'PostgreSQL';
      this.#fail(100, 4_000, (call) => (call.server === server ? { fate: 'lost' } : undefined));
    }
  }

  /** Kafka refuses the events of a key, or of the whole topic, for a while. */
  #refuse(): void {
    const { random, clock, kafka } = this.#options;
    const key = random.pick([undefined, ...keys]);
    const until = clock.now + random.int(100, 2_000);
    kafka.failWith((to, _partition, messages) => {
      if (to !== topic || this.#isOver || clock.now > until) return undefined;
      if (key === undefined) return brokerError('TOPIC_AUTHORIZATION_FAILED');
      return messages.some((message) => message.key === key) ? brokerError('INVALID_RECORD') : undefined;
    });
  }

  /**
   * Somebody locks a table, and all statements on it take too long. If it is that of the effects, an inbox can do everything but what
   * the event asks for, and the lock must not pass for a fault of the event.
   * @param table the start of its name
   */
  lock(table: string): void {
    const { scheduler } = this.#options;
    scheduler.note(`${table} is locked`);
    const isOn = new RegExp(`\\b${table}`);
    this.#fail(500, 6_000, (call) =>
      call.fail && isOn.test(call.what) ? { fate: 'failed', code: '57014' } : undefined,
    );
  }

  #fail(fromMs: number, toMs: number, fateOf: Outage['fateOf']): void {
    const { random, scheduler, clock } = this.#options;
    const until = clock.now + random.int(fromMs, toMs);
    this.#until = Math.max(this.#until, until);
    scheduler.outage = { until, fateOf };
  }
}
