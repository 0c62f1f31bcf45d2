import { Pool } from 'pg';
import { createKafka } from '#platform/kafka';
import { createLogger } from '#platform/telemetry';

/** The number of records of a topic: the sum of its partitions' end offsets. */
export async function topicEnd(brokers: string, topic: string): Promise<number> {
  const kafka = createKafka({ brokers: brokers.split(','), clientId: 'bench', log: createLogger('bench', 'warn') });
  try {
    const watermarks = await kafka.admin.watermarks(topic);
    return [...watermarks.values()].reduce((sum, { high }) => sum + Number(high), 0);
  } finally {
    await kafka.close();
  }
}

/** Runs `work` with one connection to a database. */
export async function withPool<T>(url: string, work: (pool: Pool) => Promise<T>): Promise<T> {
  const pool = new Pool({ connectionString: url, max: 1 });
  try {
    return await work(pool);
  } finally {
    await pool.end();
  }
}

/** The number `n` of the first row of a query. */
export async function numberIn(pool: Pool, sql: string): Promise<number> {
  return Number((await pool.query<{ n: string }>(sql)).rows[0]!.n);
}

/**
 * Waits until the e-mails of so many orders are sent. It counts them only when none is due, so that the wait costs little.
 * @param url of the database of notifications
 * @throws if that takes longer
 */
export async function mailed(url: string, orders: number, withinSeconds: number): Promise<void> {
  const end = performance.now() + withinSeconds * 1_000;
  await withPool(url, async (pool) => {
    const due = () => numberIn(pool, 'SELECT count(*) AS n FROM (SELECT FROM deliveries LIMIT 1) one');
    const sent = () =>
      numberIn(pool, `SELECT count(*) AS n FROM notifications WHERE status = 'SENT' AND type = 'order.created'`);
    while ((await due()) > 0 || (await sent()) < orders) {
      if (performance.now() > end)
        throw new Error(`only ${await sent()} of the e-mails of ${orders} orders were sent within ${withinSeconds} s`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });
}
