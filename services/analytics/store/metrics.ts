import type { PoolClient } from '#kit/pg.ts';
import { appendToOutbox } from '#kit/outbox/write.ts';
import type { MetricUpdated } from '#contracts/events.ts';
import type { Plan } from '../engine/plan.ts';
import type { Row } from '../query/expression.ts';
import { eventSource } from './alerts.ts';

/** The figures of a window, or of an event by itself, to be published. */
export interface Emission {
  plan: Plan;
  row: Row;
  /** tells this emission from others of the same window */
  occurrence: string;
  closed: boolean;
  /** milliseconds since 1970 */
  updatedAt: number;
  /** of a session: the starts under which it, or what has become part of it, was emitted before */
  replaces?: readonly Date[];
  traceparent?: string | undefined;
}

/** Publishes figures. @returns their JSON texts, for the live stream */
export async function emitMetrics(tx: PoolClient, emissions: readonly Emission[]): Promise<string[]> {
  const texts = emissions.map((emission) => JSON.stringify(metricOf(emission)));
  await appendToOutbox(
    tx,
    emissions.map(({ plan, row, occurrence, traceparent }, i) => ({
      topic: plan.query.emit!.to,
      key: `${plan.query.name}/${row.key}`,
      eventId: `${plan.query.name}-v${plan.version}-${row.key}-${occurrence}`,
      type: 'metric.updated',
      source: eventSource,
      data: texts[i]!,
      traceparent,
    })),
  );
  return texts;
}

function metricOf({ plan, row, closed, updatedAt, replaces = [] }: Emission): MetricUpdated {
  return {
    query: plan.query.name,
    version: plan.version,
    key: row.key,
    windowStart: row.windowStart === null ? null : new Date(row.windowStart).toISOString(),
    windowEnd: row.windowEnd === null ? null : new Date(row.windowEnd).toISOString(),
    values: row.values,
    closed,
    updatedAt: new Date(updatedAt).toISOString(),
    ...(replaces.length > 0 && { replaces: replaces.map((start) => start.toISOString()) }),
  };
}
