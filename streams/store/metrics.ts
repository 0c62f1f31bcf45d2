import type { PoolClient } from '#platform/postgres';
import { appendToOutbox, RecordBatchBuilder } from '#platform/outbox';
import type { MetricUpdated } from '#streams/contract';
import type { Plan } from '#streams/engine';
import type { Row } from '#streams/language';
import { eventSource } from './alerts.ts';

/** The values of a window, or of a single event, to publish. */
export interface Emission {
  plan: Plan;
  row: Row;
  /** distinguishes the emissions of a window */
  occurrence: string;
  closed: boolean;
  /** milliseconds since 1970 */
  updatedAt: number;
  /** of a session: the starts with which parts of it have been emitted */
  replaces?: readonly Date[];
  traceparent?: string | undefined;
}

/** Collects metrics to publish; those of a topic share rows of the outbox. */
export class MetricBatch {
  readonly #builders = new Map<string, RecordBatchBuilder>();

  /** @returns the JSON text, for the live stream */
  add(emission: Emission): string {
    const { plan, row, occurrence, traceparent } = emission;
    const { name } = plan.query;
    const topic = plan.query.emit!.to;
    let builder = this.#builders.get(topic);
    if (!builder)
      this.#builders.set(
        topic,
        (builder = new RecordBatchBuilder({ topic, type: 'metric.updated', source: eventSource })),
      );
    const data = JSON.stringify(metricOf(emission));
    builder.add({
      key: `${name}/${row.key}`,
      eventId: `${name}-v${plan.version}-${row.key}-${occurrence}`,
      data,
      traceparent,
    });
    return data;
  }

  /** Writes the metrics to the outbox; a second call writes the same. */
  async write(tx: PoolClient): Promise<void> {
    await appendToOutbox(
      tx,
      [...this.#builders.values()].flatMap((builder) => builder.finish()),
    );
  }
}

/** Publishes metrics. @returns their JSON texts, for the live stream */
export async function emitMetrics(tx: PoolClient, emissions: readonly Emission[]): Promise<string[]> {
  const batch = new MetricBatch();
  const texts = emissions.map((emission) => batch.add(emission));
  await batch.write(tx);
  return texts;
}

/** The metric of a window, or of a single event, as it is published. */
export function metricOf({ plan, row, closed, updatedAt, replaces = [] }: Emission): MetricUpdated {
  return {
    query: plan.query.name,
    version: plan.version,
    key: row.key,
    windowStart: row.windowStart === null ? null : new Date(row.windowStart).toISOString(),
    windowEnd: row.windowEnd === null ? null : new Date(row.windowEnd).toISOString(),
    values: row.values,
    ...(row.estimates?.length && { estimates: [...row.estimates] }),
    closed,
    updatedAt: isoOf(updatedAt),
    ...(replaces.length > 0 && { replaces: replaces.map((start) => start.toISOString()) }),
  };
}

let lastTime = { ms: Number.NaN, text: '' };

/** Most metrics of a transaction have the same time: its text is cached. */
function isoOf(ms: number): string {
  if (ms !== lastTime.ms) lastTime = { ms, text: new Date(ms).toISOString() };
  return lastTime.text;
}
