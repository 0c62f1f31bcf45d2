import type pg from 'pg';

import { createKafka, readTopic, type Kafka } from '#platform/kafka';
import { createLogger } from '#platform/telemetry';
import { foreignKey, type Data, type Hops, type State, type StoredEvent, type TopicRecord } from './hops.ts';
import type { Probe } from './probe.ts';
import type { Observed } from './observed.ts';

/** Reads every hop to its end: the databases by SQL, and the topics by a new consumer group. */
export async function observe(system: Observed, probe: Probe): Promise<Hops> {
  const log = createLogger('chaos', 'silent');
  const kafka = createKafka({ ...system.kafka, clientId: 'chaos-reader', log });
  try {
    const query = <T extends object>(database: string, text: string): Promise<T[]> =>
      rowsOf<T & pg.QueryResultRow>(probe.pool(database), text);
    return {
      aggregates: [
        {
          name: 'users',
          topic: 'user-events',
          state: statesOf(await query('users', 'SELECT id, version FROM users')),
          events: await userEvents(query),
          readModels: new Map([
            ['orders-projection', statesOf(await query('orders-read', 'SELECT id, version FROM users'))],
            ['notifications', statesOf(await query('notifications', 'SELECT user_id AS id, version FROM recipients'))],
          ]),
        },
        {
          name: 'orders',
          topic: 'order-events',
          state: statesOf(await query('orders', orderStates)),
          events: await orderEvents(query),
          readModels: new Map([['orders-projection', statesOf(await query('orders-read', orderStates))]]),
        },
      ],
      records: [...(await recordsOf(kafka, 'user-events')), ...(await recordsOf(kafka, 'order-events'))],
      figures: await figures(query),
      notifications: await notificationsOf(query),
      mails: system.mails.map(({ messageId }) => idOf(decodeURIComponent(/^<(.*)@/.exec(messageId)?.[1] ?? messageId))),
      deadLetters: (
        await Promise.all(['orders-read', 'notifications', 'analytics'].map((name) => query(name, letters)))
      ).flat() as Hops['deadLetters'],
      recreated: system.recreated,
    };
  } finally {
    await kafka.close();
  }
}

type Query = <T extends object>(database: string, text: string) => Promise<T[]>;

async function rowsOf<T extends pg.QueryResultRow>(pool: pg.Pool, text: string): Promise<T[]> {
  const { rows } = await pool.query<T>(text);
  return rows;
}

const orderStates = 'SELECT id, version, status, is_deleted AS "isDeleted" FROM orders';

/** Nobody but a fault writes what cannot be read, and of that the key cannot be read either. */
const unreadableKey = `${foreignKey}unreadable`;

const letters = `SELECT consumer_group AS "group", topic, partition, "offset"::int AS "offset",
  CASE error_code WHEN 'ERR_KAFKA_COMPRESSION' THEN '${unreadableKey}' ELSE key END AS key,
  event_id AS id, reason
  FROM millrace.dead_letters`;

function statesOf(rows: ({ id: string } & State)[]): Map<string, State> {
  return new Map(rows.map(({ id, ...state }) => [id, state]));
}

async function userEvents(query: Query): Promise<StoredEvent[]> {
  const rows = await query<{ id: string; key: string; type: string; data: Data }>(
    'users',
    `SELECT event_id AS id, key, type, convert_from(data, 'UTF8')::json AS data FROM millrace.outbox
     WHERE topic = 'user-events'`,
  );
  return rows.map((row) => ({ ...row, version: Number(row.data['version']) }));
}

function orderEvents(query: Query): Promise<StoredEvent[]> {
  return query(
    'orders',
    `SELECT 'order-' || order_id || '-' || version AS id, order_id AS key, version, type, data FROM order_events`,
  );
}

/** The windows of three queries, summed under the names of `figuresOf`. */
async function figures(query: Query): Promise<Map<string, number>> {
  const rows = await query<{ name: string; key: string; first: string; second: string | null }>(
    'analytics',
    `SELECT q.name, w.key, sum(w.accumulators[1]) AS first, sum(w.accumulators[2]) AS second
     FROM stream_windows w JOIN stream_queries q ON q.id = w.query_id
     WHERE q.retired_at IS NULL AND q.name IN ('revenue', 'orders-by-event-type', 'user-activity')
     GROUP BY q.name, w.key`,
  );
  return new Map(
    rows.flatMap(({ name, key, first, second }): [string, number][] => {
      if (name === 'orders-by-event-type') return [[`events of type ${key}`, Number(first)]];
      if (name === 'user-activity') return [[`events of user ${key}`, Number(first)]];
      return [
        ['revenue in cents', Math.round(Number(first) * 100)],
        ['orders', Number(second)],
      ];
    }),
  );
}

async function notificationsOf(query: Query): Promise<Hops['notifications']> {
  const rows = await query<Hops['notifications'][number]>(
    'notifications',
    'SELECT event_id AS "eventId", status::text, last_error AS error FROM notifications',
  );
  return rows.map((row) => ({ ...row, eventId: idOf(row.eventId) }));
}

/** The id of an event, from its identity: that of another producer's event has the source, too. */
function idOf(identity: string): string {
  return identity.startsWith('[') ? (JSON.parse(identity) as [source: string, id: string])[1] : identity;
}

/** All records of a topic, by partition and offset. */
async function recordsOf(kafka: Kafka, topic: string): Promise<TopicRecord[]> {
  const records = new Map<string, TopicRecord>();
  await readTopic(kafka, {
    topic,
    group: `chaos-reader-${process.pid}-${Date.now()}`,
    onMessages(messages) {
      for (const { partition, offset, key, headers, value, unreadable } of messages)
        records.set(`${partition}/${offset}`, {
          topic,
          partition,
          offset: Number(offset),
          key: unreadable ? unreadableKey : key,
          id: headers['ce_id'],
          type: headers['ce_type'],
          data: unreadable ? {} : value === null ? undefined : parse(value),
        });
    },
  });
  return [...records.values()].toSorted((a, b) => a.partition - b.partition || a.offset - b.offset);
}

function parse(value: Buffer): Data {
  try {
    const data: unknown = JSON.parse(value.toString());
    return typeof data === 'object' && data !== null ? (data as Data) : {};
  } catch {
    return {};
  }
}
