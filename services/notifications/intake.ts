import type { ReceivedEvent } from '#platform/contract';
import type { PoolClient } from '#platform/postgres';
import { planIntake } from './plan.ts';
import type { NewNotification, RecipientChange } from './plan.ts';

const upsertRecipients = `
  INSERT INTO recipients AS r (user_id, version, email, first_name, last_name, deleted_at)
  SELECT * FROM unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
  ON CONFLICT (user_id) DO UPDATE SET version = excluded.version, email = excluded.email,
    first_name = excluded.first_name, last_name = excluded.last_name, deleted_at = excluded.deleted_at
  WHERE excluded.version > r.version`;

/** Deletes addresses, and the errors that may contain them. */
const eraseAddresses = `
  UPDATE notifications SET recipient = NULL, last_error = NULL WHERE user_id = ANY($1) AND recipient IS NOT NULL`;

const insertNotifications = `
  WITH new AS MATERIALIZED (
    SELECT t.*, extract(epoch FROM now())::float8 * 1000 - happened_ms > $8::float8 AS stale
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::float8[])
      AS t (user_id, event_id, type, subject, body, traceparent, happened_ms)
  ), inserted AS (
    INSERT INTO notifications (user_id, event_id, type, subject, body, status, last_error)
    SELECT user_id, event_id, type, subject, body,
      CASE WHEN stale THEN 'FAILED' ELSE 'PENDING' END::notification_status,
      CASE WHEN stale THEN 'the event was too old when it was read' END
    FROM new
    ON CONFLICT (event_id) DO NOTHING
    RETURNING id, event_id, status
  )
  INSERT INTO deliveries (notification_id, traceparent)
  SELECT inserted.id, new.traceparent FROM inserted JOIN new USING (event_id) WHERE inserted.status = 'PENDING'`;

/**
 * Applies a batch of user-events and order-events in the transaction that moves the offsets: it stores the users, and one
 * notification for each event. A repeated event changes nothing.
 *
 * @param maxAgeMs older events are recorded and not sent, so that no user gets old mails when a group reads its topics again from
 *   the beginning. Their age is by the clock of PostgreSQL: that of this process may be wrong, and a mail not sent is lost.
 */
export async function applyEvents(tx: PoolClient, events: readonly ReceivedEvent[], maxAgeMs: number): Promise<void> {
  const { recipients, notifications } = planIntake(events);
  if (recipients.length > 0) await saveRecipients(tx, recipients);
  if (notifications.length > 0) await saveNotifications(tx, notifications, maxAgeMs);
}

async function saveRecipients(tx: PoolClient, changes: readonly RecipientChange[]): Promise<void> {
  await tx.query({
    name: 'upsert-recipients',
    text: upsertRecipients,
    values: [
      changes.map((change) => change.userId),
      changes.map((change) => change.version),
      changes.map((change) => change.email),
      changes.map((change) => change.firstName),
      changes.map((change) => change.lastName),
      changes.map((change) => change.deletedAt),
    ],
  });
  const deleted = changes.filter((change) => change.deletedAt !== null).map((change) => change.userId);
  if (deleted.length > 0) await tx.query(eraseAddresses, [deleted]);
}

async function saveNotifications(
  tx: PoolClient,
  notifications: readonly NewNotification[],
  maxAgeMs: number,
): Promise<void> {
  await tx.query({
    name: 'insert-notifications',
    text: insertNotifications,
    values: [
      notifications.map((one) => one.userId),
      notifications.map((one) => one.eventId),
      notifications.map((one) => one.type),
      notifications.map((one) => one.subject),
      notifications.map((one) => one.body),
      notifications.map((one) => one.traceparent ?? null),
      notifications.map((one) => one.time),
      maxAgeMs,
    ],
  });
}
