import type { PoolClient } from '#platform/postgres';
import { appendToOutbox, Packer } from '#platform/outbox';
import type { MetricUpdated } from '#streams/contract';
import type { Plan } from '#streams/engine';
import type { Row } from '#streams/language';
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

/** Gathers figures to be published; those of a topic share rows of the outbox. */
export class MetricPack {
  readonly #packers = new Map<string, Packer>();

  /** @returns the JSON text, for the live stream */
  add(emission: Emission): string {
    const { plan, row, occurrence, traceparent } = emission;
    const { name } = plan.query;
    const topic = plan.query.emit!.to;
    let packer = this.#packers.get(topic);
    if (!packer)
      this.#packers.set(topic, (packer = new Packer({ topic, type: 'metric.updated', source: eventSource })));
    const data = JSON.stringify(metricOf(emission));
    packer.add({
      key: `${name}/${row.key}`,
      eventId: `${name}-v${plan.version}-${row.key}-${occurrence}`,
      data,
      traceparent,
    });
    return data;
  }

  /** Writes them to the outbox; another attempt writes the same. */
  async write(tx: PoolClient): Promise<void> {
    await appendToOutbox(
      tx,
      [...this.#packers.values()].flatMap((packer) => packer.finish()),
    );
  }
}

/** Publishes figures. @returns their JSON texts, for the live stream */
export async function emitMetrics(tx: PoolClient, emissions: readonly Emission[]): Promise<string[]> {
  const pack = new MetricPack();
  const texts = emissions.map((emission) => pack.add(emission));
  await pack.write(tx);
  return texts;
}

/** What is published of a window, or of an event by itself. */
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

/** Most of what is emitted together has one time. */
function isoOf(ms: number): string {
  if (ms !== lastTime.ms) lastTime = { ms, text: new Date(ms).toISOString() };
  return lastTime.text;
}
