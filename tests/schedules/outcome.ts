import type pg from 'pg';
import { deadLetterTopic } from '#platform/declarations';
import type { fakeKafka } from '#platform/kafka/testing/fake.ts';
import type { Cast } from './cast.ts';
import type { Facts, Finding } from './check.ts';
import type { SimulatedClock } from './clock.ts';
import { inboxGroup, recordHeader } from './parts.ts';
import { hasClosed, streamGroup } from './streams.ts';
import type { TopicLog } from './topic-log.ts';

export const deadLetters = deadLetterTopic(inboxGroup);

export interface OutcomeOptions {
  clock: SimulatedClock;
  control: pg.Client;
  kafka: ReturnType<typeof fakeKafka>;
  cast: Cast;
  log: TopicLog;
  /** whether it has workers of stream queries */
  hasWorkers: boolean;
}

/** What a schedule has come to, asked past all faults. */
export class Outcome {
  readonly #options: OutcomeOptions;

  constructor(options: OutcomeOptions) {
    this.#options = options;
  }

  /** Whether everything that was committed has had all its effects. */
  async isComplete(): Promise<boolean> {
    const { clock, control, kafka, log, hasWorkers } = this.#options;
    const { rows: written } = await control.query<{ id: string }>('SELECT id FROM written');
    const { all, present } = log;
    const sent = new Set(all.map(({ id }) => id));
    if (!written.every(({ id }) => sent.has(id))) return false;
    const { rows: done } = await control.query<{ record: string }>('SELECT record FROM effects');
    const records = new Set(done.map(({ record }) => record));
    if (!all.every(({ record, isGone }) => isGone || records.has(record))) return false;
    const { rows } = await control.query<{ read: number; left: boolean }>(
      `SELECT (SELECT coalesce(sum(next_offset), 0)::int FROM millrace.inbox_offsets WHERE consumer_group = $1) AS read,
         EXISTS (SELECT FROM stream_windows WHERE due_at IS NOT NULL)
         OR EXISTS (SELECT FROM millrace.dead_letters WHERE replayed_at IS NULL)
         OR EXISTS (SELECT FROM millrace.outbox_parked)
         OR EXISTS (SELECT FROM millrace.outbox o JOIN millrace.outbox_shards s USING (shard)
           WHERE (o.xid, o.id) > (s.xid, s.id)) AS left`,
      [streamGroup],
    );
    const { read, left } = rows[0]!;
    if (left) return false;
    return !hasWorkers || (read >= present.length && hasClosed(kafka.sent, clock.now));
  }

  /**
   * What to say where it does not become complete: whether the parts say so.
   * @param waitedMs for how long, in simulated milliseconds
   */
  async incomplete(waitedMs: number): Promise<Finding> {
    const { roles } = this.#options.cast;
    const reports = roles.flatMap(({ name, part }) => (part ? [{ name, report: part.health.report() }] : []));
    const settled = await Promise.all(reports.map(async ({ name, report }) => ({ name, ...(await report) })));
    const red = settled
      .filter(({ status }) => status === 'DOWN')
      .map(({ name, checks }) => `${name}: ${JSON.stringify(checks)}`);
    const what = `not everything has caught up ${waitedMs / 1_000} s after the last fault`;
    return red.length > 0
      ? { kind: 'stuck', what: `${what}: ${red.join('; ')}` }
      : { kind: 'false-green', what: `${what}, and health says that all is well` };
  }

  async facts(): Promise<Facts> {
    const { control, kafka, log } = this.#options;
    const { rows: written } = await control.query<Facts['written'][number]>(
      'SELECT id, key, n, is_poison AS "isPoison" FROM written ORDER BY key, n',
    );
    const { rows: effects } = await control.query<Facts['effects'][number]>(
      'SELECT id, record FROM effects ORDER BY position',
    );
    const { rows: letters } = await control.query<Facts['letters'][number]>(
      `SELECT event_id AS id, headers->>$1 AS record, is_waiting AS "isWaiting", reason FROM millrace.dead_letters ORDER BY id`,
      [recordHeader],
    );
    const published = kafka.sent
      .filter((one) => one.topic === deadLetters)
      .map(({ message: { headers, value } }) => ({ record: headers[recordHeader]!, value: value.toString() }));
    return { written, effects, letters, published, log: log.all };
  }
}
