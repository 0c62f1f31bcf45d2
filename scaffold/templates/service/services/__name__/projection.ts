//? consumes
import type { ReceivedEvent } from '#platform/contract';
import type { PoolClient } from '#platform/postgres';

const upsert = `
  INSERT INTO latest_events AS known (topic, key, event_id, type, time)
  SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
  ON CONFLICT (topic, key) DO UPDATE SET event_id = excluded.event_id, type = excluded.type, time = excluded.time
  WHERE excluded.time >= known.time`;

/**
 * Keeps the latest event of each aggregate, in the transaction that moves the offset. A repeated event, or one that comes
 * after a later one, changes nothing.
 */
export async function project(tx: PoolClient, events: readonly ReceivedEvent[]): Promise<void> {
  const latest = new Map<string, ReceivedEvent>();
  for (const event of events) {
    const aggregate = `${event.topic} ${event.key}`;
    const known = latest.get(aggregate);
    if (event.key !== null && (known === undefined || event.time >= known.time)) latest.set(aggregate, event);
  }
  // in the order of their keys, so that two transactions never wait for each other
  const rows = [...latest].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, event]) => event);
  if (rows.length === 0) return;
  await tx.query({
    name: 'upsert-latest-events',
    text: upsert,
    values: [
      rows.map(({ topic }) => topic),
      rows.map(({ key }) => key),
      rows.map(({ id }) => id),
      rows.map(({ type }) => type),
      rows.map(({ time }) => new Date(time)),
    ],
  });
}
//? end
