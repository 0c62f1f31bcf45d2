import type { Pool } from 'pg';
import type { MetricUpdated } from '#streams/contract';
import { decodeRecordBatch } from '#platform/outbox/testing.ts';
import { spikeOver } from './events.ts';
import type { Expected } from './events.ts';

type WindowRow = [name: string, start: number, key: string, accumulators: string[]];

/**
 * Compares what the queries wrote with what they must come to.
 * @returns the differences, in words; none where all is equal
 */
export async function differences(pool: Pool, expected: Expected): Promise<string[]> {
  const { rows } = await pool.query<WindowRow>({
    rowMode: 'array',
    text: `SELECT name, (extract(epoch FROM window_start) * 1000)::float8, key, accumulators::text[]
      FROM stream_windows JOIN stream_queries ON id = query_id`,
  });
  const windows = Map.groupBy(rows, ([name]) => name);
  const figures = (query: string, read: (accumulators: string[]) => number) =>
    new Map((windows.get(query) ?? []).map(([, start, key, values]) => [`${start}/${key}`, read(values)]));
  const cents = ([sum]: string[]) => Math.round(Number(sum) * 100);
  const found = [
    ...differing(
      'orders-by-status',
      expected.byStatus,
      figures('orders-by-status', ([count]) => Number(count)),
    ),
    ...differing('revenue', expected.revenue, figures('revenue', cents)),
    ...differing('revenue-by-user', expected.revenueByUser, figures('revenue-by-user', cents)),
  ];
  const high = await emittedOrders(pool);
  const { orders, cents: sum } = expected.highValue;
  if (high.events !== orders || high.distinct !== orders || high.cents !== sum)
    found.push(`high-value-order: ${JSON.stringify(high)} instead of ${orders} orders of ${sum} cents`);
  const spikes = [...figures('order-volume-spike', ([count]) => Number(count))].filter(
    ([, count]) => count > spikeOver,
  );
  found.push(...differing('order-volume-spike', expected.spikes, new Map(spikes)));
  return found;
}

/** The emitted results of the query without a window. */
async function emittedOrders(pool: Pool): Promise<{ events: number; distinct: number; cents: number }> {
  const ids = new Set<string>();
  let events = 0;
  let cents = 0;
  const { rows } = await pool.query<{ data: Buffer }>(
    "SELECT data FROM millrace.outbox WHERE topic = 'analytics-alerts'",
  );
  for (const { headers, data } of rows.flatMap((row) => decodeRecordBatch(row.data))) {
    const { query, values } = data as MetricUpdated;
    if (query !== 'high-value-order') continue;
    events += 1;
    ids.add(headers['ce_id']!);
    cents += Math.round(Number(values['total']) * 100);
  }
  return { events, distinct: ids.size, cents };
}

function differing(query: string, expected: Map<string, number>, found: Map<string, number>): string[] {
  const wrong = [...expected].filter(([name, value]) => found.get(name) !== value);
  const surplus = [...found.keys()].filter((name) => !expected.has(name));
  if (wrong.length === 0 && surplus.length === 0) return [];
  const [name, value] = wrong[0] ?? [surplus[0]!, undefined];
  return [
    `${query}: ${wrong.length} of ${expected.size} windows differ, ${surplus.length} too many; ${name} is ${found.get(name)}, not ${value}`,
  ];
}
