import type { OrderCreated, OrderDeleted, OrderStatusChanged } from '#contracts/orders.ts';
import type { Recovery, TopicEvent } from '#platform/recovery';
import { orderEvents } from './events.ts';

// An event has all that the write model keeps, so the last one of an order is its state. The rows of a batch that the statement
// has written are not in its snapshot: what it compares was there before.
const take = {
  name: 'take-order-events-back',
  text: `WITH input AS MATERIALIZED (
  SELECT * FROM unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::bigint[], $8::text[],
    $9::numeric[], $10::timestamptz[]) WITH ORDINALITY
    AS i(order_id, version, type, data, traceparent, happened_at, user_id, status, total_amount, created_at, n)
), taken AS (
  INSERT INTO order_events (order_id, version, type, data, traceparent, created_at)
  SELECT order_id, version, type, data::json, traceparent, happened_at FROM input ORDER BY n
  ON CONFLICT DO NOTHING RETURNING order_id, version
), states AS (
  INSERT INTO orders AS o (id, user_id, status, total_amount, version, is_deleted, created_at, updated_at)
  SELECT DISTINCT ON (order_id) order_id, user_id, status, total_amount, version, type = 'order.deleted', created_at, happened_at
  FROM input ORDER BY order_id, version DESC
  ON CONFLICT (id) DO UPDATE SET status = excluded.status, version = excluded.version, is_deleted = excluded.is_deleted,
    updated_at = excluded.updated_at
  WHERE o.version < excluded.version
)
SELECT 'order-' || order_id || '-' || version AS id, true AS is_taken FROM taken
UNION ALL
SELECT DISTINCT 'order-' || e.order_id || '-' || e.version, false FROM input JOIN order_events e USING (order_id, version)
WHERE e.data::jsonb <> input.data::jsonb`,
};

/** How orders takes events back: into the event store, and into the write model. */
export const ordersRecovery: Omit<Recovery, 'decode'> = {
  topic: orderEvents.topic,
  sequence: 'orders_id_seq',
  keyOf: ({ data }) => (data as OrderDeleted).orderId,
  eventStore: 'outbox',
  begin: (tx) => ({
    async take(events) {
      const { rows } = await tx.query<{ id: string; is_taken: boolean }>({ ...take, values: columnsOf(events) });
      const idsOf = (isTaken: boolean) => rows.filter((row) => row.is_taken === isTaken).map(({ id }) => id);
      return { events: idsOf(true), conflicts: idsOf(false) };
    },
  }),
};

function columnsOf(events: readonly TopicEvent[]): unknown[] {
  const data = events.map((event) => event.data as OrderCreated | OrderStatusChanged | OrderDeleted);
  return [
    data.map(({ orderId }) => orderId),
    data.map((one) => ('version' in one ? one.version : 1)),
    events.map(({ type }) => type),
    events.map(({ value }) => value.toString()),
    events.map(({ traceparent }) => traceparent ?? null),
    events.map(({ time }) => new Date(time)),
    data.map(({ userId }) => userId),
    data.map(({ status }) => status),
    data.map(({ totalAmount }) => totalAmount),
    data.map(({ createdAt }) => createdAt),
  ];
}
