import type { PoolClient } from '#platform/postgres';
import { appendToOutbox } from '#platform/outbox';
import type { Alert } from '#streams/contract';
import { passes, rowOf } from '#streams/engine';
import type { Plan } from '#streams/engine';
import { isNumeric } from '#streams/language';
import type { Row } from '#streams/language';
import type { ChangedWindow, WindowChanges } from './windows.ts';

/** A window or an event that a query raises an alert about. */
export interface AlertCandidate {
  plan: Plan;
  row: Row;
  /** identifies the alert in all versions of the query, which raises it once: that of an event, or the start of the window */
  occurrence: string;
  /** of the event that causes it */
  traceparent: string | undefined;
  /**
   * of an alert about what a version has read in its backfill: when that event happened, or no event could change the window any
   * more, in milliseconds since 1970
   */
  backfillTime?: number | undefined;
}

/** The source of all events that this service emits. */
export const eventSource = '/analytics';

/** How long the rows of alerts are kept. */
export const alertsKeptMs = 90 * 86_400_000;

/**
 * Raises alerts: it writes the row and the event of each alert, except for those that were raised before. A later version of a
 * query raises none of its backfill from the time of which no rows are kept: an earlier version can have raised it.
 * @param now milliseconds since 1970
 * @returns the JSON texts of the new alerts, for the live stream
 */
export async function raiseAlerts(
  tx: PoolClient,
  candidates: readonly AlertCandidate[],
  now: number,
): Promise<string[]> {
  const known = candidates.filter(
    ({ plan, backfillTime = now }) => plan.version === 1 || backfillTime >= now - alertsKeptMs,
  );
  if (known.length === 0) return [];
  const sorted = known.toSorted((a, b) => compare(identity(a), identity(b)));
  const { rows } = await tx.query<[number, number, string, string, string, Date]>({
    name: 'alerts-raise',
    rowMode: 'array',
    text: `INSERT INTO alerts (query_id, type, severity, message, key, occurrence, window_start, window_end, value, threshold)
      SELECT query_id, type, severity, message, key, occurrence, to_timestamp(first), to_timestamp(last), value, threshold
      FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
        $7::float8[], $8::float8[], $9::numeric[], $10::numeric[])
        AS t(query_id, type, severity, message, key, occurrence, first, last, value, threshold)
      ON CONFLICT (type, key, occurrence) DO NOTHING
      RETURNING id::float8, query_id, type, key, occurrence, created_at`,
    values: [
      sorted.map(({ plan }) => plan.id),
      sorted.map(({ plan }) => plan.query.name),
      sorted.map(({ plan }) => plan.query.alert!.severity),
      sorted.map(alertText),
      sorted.map(({ row }) => row.key),
      sorted.map(({ occurrence }) => occurrence),
      sorted.map(({ row }) => secondsOrNull(row.windowStart)),
      sorted.map(({ row }) => secondsOrNull(row.windowEnd)),
      sorted.map(valueOf),
      sorted.map(({ plan }) => plan.query.alert!.threshold ?? null),
    ],
  });
  const named = new Map(sorted.map((candidate) => [`${candidate.plan.id}\n${identity(candidate)}`, candidate]));
  const raised = rows.map(([id, queryId, type, key, occurrence, createdAt]) => {
    const candidate = named.get(`${queryId}\n${type}\n${key}\n${occurrence}`)!;
    return { id, candidate, text: JSON.stringify(alertOf(candidate, id, createdAt)) };
  });
  await appendToOutbox(
    tx,
    raised.map(({ id, candidate: { plan, row, traceparent }, text }) => ({
      topic: plan.query.emit!.to,
      key: `${plan.query.name}/${row.key}`,
      eventId: `alert-${id}`,
      type: 'alert.raised',
      source: eventSource,
      data: text,
      traceparent,
    })),
  );
  return raised.map(({ text }) => text);
}

function identity({ plan, row, occurrence }: AlertCandidate): string {
  return `${plan.query.name}\n${row.key}\n${occurrence}`;
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function alertText({ plan, row }: AlertCandidate): string {
  return plan.query.alert!.message(row);
}

/** The first selected value, if it is a number. */
function valueOf({ plan, row }: AlertCandidate): string | null {
  const value = String(row.values[plan.query.select[0]?.name ?? '']);
  return isNumeric(value) ? value : null;
}

/** An alert as it is published. */
export function alertOf(candidate: AlertCandidate, id: number, createdAt: Date): Alert {
  const { plan, row } = candidate;
  const value = valueOf(candidate);
  return {
    id,
    type: plan.query.name,
    severity: plan.query.alert!.severity,
    message: alertText(candidate),
    key: row.key,
    windowStart: isoOrNull(row.windowStart),
    windowEnd: isoOrNull(row.windowEnd),
    value: value === null ? null : Number(value),
    threshold: plan.query.alert!.threshold ?? null,
    createdAt: createdAt.toISOString(),
  };
}

/** PostgreSQL does not read the text that JavaScript has for times after the year 9999, in which a window can end. */
function secondsOrNull(time: number | null): number | null {
  return time === null ? null : time / 1000;
}

function isoOrNull(time: number | null): string | null {
  return time === null ? null : new Date(time).toISOString();
}

/** Marks the windows that pass `having` for the first time, so that later batches skip them. @returns their alerts */
export async function markAlerted(tx: PoolClient, changed: WindowChanges['changed']): Promise<AlertCandidate[]> {
  const crossing = changed.flatMap(candidateOf);
  if (crossing.length === 0) return [];
  await tx.query({
    name: 'windows-alerted',
    text: `UPDATE stream_windows w SET alerted = true
      FROM unnest($1::int[], $2::float8[], $3::text[]) AS t(query_id, seconds, key)
      WHERE w.query_id = t.query_id AND w.window_start = to_timestamp(t.seconds) AND w.key = t.key`,
    values: [
      crossing.map(({ plan }) => plan.id),
      crossing.map(({ row }) => row.windowStart! / 1000),
      crossing.map(({ row }) => row.key),
    ],
  });
  return crossing;
}

function candidateOf({ plan, start, end, key, accumulators, delta }: ChangedWindow): AlertCandidate[] {
  const row = rowOf(plan, start, key, accumulators, end);
  if (!passes(plan, row)) return [];
  const occurrence = new Date(start).toISOString();
  const backfillTime = plan.isBuilding ? delta.latest : undefined;
  return [{ plan, row, occurrence, traceparent: delta.traceparent, backfillTime }];
}
