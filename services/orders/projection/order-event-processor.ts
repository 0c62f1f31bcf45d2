import type { PoolClient } from 'pg';
import type { ReceivedEvent } from '#platform/contract';
import { changesOf } from './changes.ts';
import type { OrderChange, UserChange } from './changes.ts';

/** The tables of the projection. */
export const projectionTables = ['users', 'orders', 'order_statistics'];

// The version decides: an event that was applied before changes nothing, so that a batch may be repeated. `order.created`
// may also come after later events (as a replayed dead letter); it then adds only the fields that they do not have. The
// counts follow from the row before and after, and are kept by partition.
const projectOrders = {
  name: 'project-orders',
  text: `WITH input AS MATERIALIZED (
  SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::numeric[], $5::text[], $6::text[], $7::text[],
    $8::boolean[], $9::int[], $10::timestamptz[], $11::timestamptz[], $12::int[])
    AS i(id, user_id, status, total_amount, items, shipping_address, notes, is_deleted, version, created_at,
      updated_at, partition)
), before AS MATERIALIZED (
  -- LIMIT keeps this a lookup by key: a plan for the empty table would read the whole table from then on
  SELECT o.* FROM input CROSS JOIN LATERAL (
    SELECT id, status, is_deleted FROM orders WHERE orders.id = input.id LIMIT 1
  ) o
), changed AS (
  INSERT INTO orders AS o (id, user_id, status, total_amount, items, shipping_address, notes, is_deleted, version,
    created_at, updated_at)
  SELECT id, user_id, status, total_amount, items::json, shipping_address, notes, is_deleted, version, created_at,
    updated_at FROM input ORDER BY id
  ON CONFLICT (id) DO UPDATE SET
    status = CASE WHEN excluded.version > o.version THEN excluded.status ELSE o.status END,
    items = coalesce(o.items, excluded.items),
    shipping_address = coalesce(o.shipping_address, excluded.shipping_address),
    notes = coalesce(o.notes, excluded.notes),
    is_deleted = o.is_deleted OR excluded.is_deleted,
    version = greatest(o.version, excluded.version),
    updated_at = CASE WHEN excluded.version > o.version THEN excluded.updated_at ELSE o.updated_at END
  WHERE excluded.version > o.version OR (o.items IS NULL AND excluded.items IS NOT NULL)
  RETURNING o.id, o.status, o.is_deleted
), deltas AS (
  SELECT partition, status, sum(delta) AS delta FROM (
    SELECT i.partition, c.status, 1 AS delta FROM changed c JOIN input i USING (id) WHERE NOT c.is_deleted
    UNION ALL
    SELECT i.partition, b.status, -1 FROM changed JOIN before b USING (id) JOIN input i USING (id)
    WHERE NOT b.is_deleted
  ) steps GROUP BY partition, status HAVING sum(delta) <> 0
)
INSERT INTO order_statistics AS s (partition, status, orders)
SELECT partition, status, delta FROM deltas ORDER BY partition, status
ON CONFLICT (partition, status) DO UPDATE SET orders = s.orders + excluded.orders`,
};

// A deleted user keeps the names that orders show; a late event from before the deletion may still set them.
const projectUsers = {
  name: 'project-order-users',
  text: `INSERT INTO users AS u (id, username, email, is_deleted, version)
  SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[], $5::int[])
  ON CONFLICT (id) DO UPDATE SET
    username = CASE WHEN excluded.version > u.version THEN coalesce(excluded.username, u.username)
      ELSE coalesce(u.username, excluded.username) END,
    email = CASE WHEN excluded.version > u.version THEN coalesce(excluded.email, u.email)
      ELSE coalesce(u.email, excluded.email) END,
    is_deleted = u.is_deleted OR excluded.is_deleted,
    version = greatest(u.version, excluded.version)
  WHERE excluded.version > u.version OR u.username IS NULL`,
};

/**
 * Projects order-events and user-events into the read database, within the transaction that also moves their offsets.
 * A batch of any size costs one statement for its orders and one for its users.
 */
export async function processOrderEvents(tx: PoolClient, events: readonly ReceivedEvent[]): Promise<void> {
  const { orders, users } = changesOf(events);
  if (users.length > 0) await tx.query({ ...projectUsers, values: userColumns(users) });
  if (orders.length > 0) await tx.query({ ...projectOrders, values: orderColumns(orders) });
}

/** An array of numbers or times as PostgreSQL reads it; none of them needs quotes. */
function array(values: (string | number | boolean)[]): string {
  return `{${values.join(',')}}`;
}

function orderColumns(orders: OrderChange[]): unknown[] {
  return [
    array(orders.map(({ id }) => id)),
    array(orders.map(({ userId }) => userId)),
    array(orders.map(({ status }) => status)),
    array(orders.map(({ totalAmount }) => totalAmount)),
    orders.map(({ details }) => (details ? JSON.stringify(details.items) : null)),
    orders.map(({ details }) => details?.shippingAddress ?? null),
    orders.map(({ details }) => details?.notes ?? null),
    array(orders.map(({ isDeleted }) => isDeleted)),
    array(orders.map(({ version }) => version)),
    orders.map(({ createdAt }) => createdAt),
    orders.map(({ updatedAt }) => updatedAt),
    array(orders.map(({ partition }) => partition)),
  ];
}

function userColumns(users: UserChange[]): unknown[] {
  return [
    array(users.map(({ id }) => id)),
    users.map(({ username }) => username),
    users.map(({ email }) => email),
    array(users.map(({ isDeleted }) => isDeleted)),
    array(users.map(({ version }) => version)),
  ];
}
