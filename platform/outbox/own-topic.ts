import { hasCode } from '#platform/errors';
import type { PlatformError } from '#platform/errors';
import type { Kafka } from '#platform/kafka';
import type { PoolClient } from '#platform/postgres';
import type { Logger } from '#platform/telemetry';
import { assertNothingLost } from './lost-events.ts';
import type { OwnEvents } from './lost-events.ts';
import type { TopicEnds } from './topic-ends.ts';

/** so often in a row the topic may bring nothing before the relay goes on without it: it may have no right to read it */
const enoughSilences = 3;

export interface OwnTopicOptions {
  kafka: Kafka;
  log: Logger;
  own: OwnEvents;
  ends: TopicEnds;
}

/** Remembers whether the topic of a service's events has some that its database lacks. */
export class OwnTopic {
  readonly #options: OwnTopicOptions;
  /** that the database lacks some, and after which ends of the logs */
  #behind: { error: PlatformError; where: string } | undefined;
  /** how often in a row nothing came of the topic */
  #silences = 0;

  constructor(options: OwnTopicOptions) {
    this.#options = options;
  }

  /** @throws while the database is known to lack some */
  assertNotBehind(): void {
    if (this.#behind) throw this.#behind.error;
  }

  /**
   * Reads what the topic has after the ends that the database knows.
   * @throws ERR_OUTBOX_BEHIND if the database lacks some of that; ERR_UNAVAILABLE where nothing of the topic comes
   */
  async compare(session: PoolClient, signal: AbortSignal): Promise<void> {
    const { kafka, log, own, ends } = this.#options;
    const from = await ends.compare(session, own.topic);
    const where = String([...from]);
    if (this.#behind?.where === where) throw this.#behind.error;
    try {
      await assertNothingLost(session, { kafka, own, from, signal });
      this.#silences = 0;
    } catch (error) {
      if (hasCode(error, 'ERR_OUTBOX_BEHIND')) this.#behind = { error, where };
      if (!hasCode(error, 'ERR_UNAVAILABLE') || ++this.#silences < enoughSilences) throw error;
      log.warn(
        { err: error, topic: own.topic },
        'the service cannot read the topic of its events: nobody can tell whether its database lacks some of them',
      );
    }
    this.#behind = undefined;
    await ends.confirm(session, own.topic);
  }
}
