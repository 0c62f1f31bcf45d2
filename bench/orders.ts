// Measures the orders a second of the platform, with every consumer running and tracing on, and checks that every hop has
// all of them 2 s after the load. The processor time counts until the last e-mail is sent. It also measures the baseline of the
// machine: a bare node:http server with one INSERT per request.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { readNumbers } from './arguments.ts';
import { mailed, numberIn, topicEnd, withPool } from './hops.ts';
import { load, orderBody, randomOf } from './load.ts';
import type { LoadResult } from './load.ts';
import { watchOthers } from './others.ts';
import { withBenchPlatform } from './platform.ts';
import { cpuSeconds, processesBelow } from './processes.ts';

const [seconds, connections] = readNumbers('npm run bench:orders -- [SECONDS] [CONNECTIONS]', 30, 32);

/** The baseline, with its own database on the platform's PostgreSQL. */
async function bareServer(postgres: string, bodies: readonly string[]): Promise<LoadResult> {
  const child = fork(fileURLToPath(new URL('./bare-server.ts', import.meta.url)), {
    env: { ...process.env, DATABASE_URL: postgres },
  });
  try {
    const [port] = (await once(child, 'message')) as [number];
    const url = `http://127.0.0.1:${port}/`;
    await load({ url, connections, seconds: 2, bodies });
    return await load({ url, connections, seconds: 10, bodies });
  } finally {
    child.kill();
  }
}

/** the ratio of recorded and exported traces; 0 starts the services without an exporter */
const sampled = Number(process.env['SAMPLED'] ?? 0.1);

/** how long the e-mails may take after a load, in seconds: they get the time that the other work leaves */
const mailSeconds = 60 + 4 * seconds;

/** Waits until a count has stopped growing. */
async function settled(ask: () => Promise<number>): Promise<number> {
  let last = -1;
  for (let n = await ask(); n !== last; n = await ask()) {
    last = n;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return last;
}

await withBenchPlatform({ sampled }, async ({ platform, userIds }) => {
  const random = randomOf(7);
  const bodies = Array.from({ length: 500 }, () => orderBody(random, userIds));
  const url = `${platform.url('gateway')}/api/orders`;
  const floor = await bareServer(platform.postgres, bodies);

  const urlOf = (database: string) => platform.postgres.replace(/\/postgres$/, `/${database}`);
  const count = (database: string, sql: string) => withPool(urlOf(database), (pool) => numberIn(pool, sql));
  const hops: Record<string, () => Promise<number>> = {
    'orders (write database)': () => count('orders', 'SELECT count(*) AS n FROM orders'),
    'order-events (Kafka)': () => topicEnd(platform.brokers, 'order-events'),
    'read model (projection)': () => count('orders_read', 'SELECT count(*) AS n FROM orders'),
    'analytics (windows)': () =>
      count(
        'analytics',
        `SELECT coalesce(sum(accumulators[1]), 0) AS n FROM stream_windows
         JOIN stream_queries ON id = query_id WHERE name = 'orders-by-status'`,
      ),
    'notifications (rows)': () =>
      count('notifications', `SELECT count(*) AS n FROM notifications WHERE type = 'order.created'`),
  };
  const stored = () => settled(hops['orders (write database)']!);
  const allMailed = (orders: number) => mailed(urlOf('notifications'), orders, mailSeconds);

  const warm = await load({ url, connections, seconds: 5, bodies });
  await allMailed(await stored());
  const before = processesBelow(platform.runner.pid!);
  const watched = watchOthers();
  const result = await load({ url, connections, seconds, bodies });
  const others = watched();
  const ended = performance.now();
  const answered = warm.accepted + result.accepted;

  // the database also has the orders of requests that were in flight at the end of the load
  const expected = await stored();
  if (expected < answered || expected > answered + 2 * connections) {
    throw new Error(`${answered} orders were answered with 201, but the database has ${expected}`);
  }
  console.log(`\nhop                        count     all there`);
  const late: string[] = [];
  const counts: Record<string, number> = {};
  const waits = Object.entries(hops).map(async ([name, ask]) => {
    let n = 0;
    while ((n = await ask()) < expected && performance.now() - ended < 60_000) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const after = (performance.now() - ended) / 1000;
    counts[name] = n;
    if (n !== expected || after > 2) late.push(name);
    console.log(`${name.padEnd(26)} ${String(n).padStart(6)}    ${after.toFixed(2)} s after the load`);
  });
  await Promise.all(waits);

  await allMailed(expected);
  const mailsAfter = (performance.now() - ended) / 1000;

  const cpu = processesBelow(platform.runner.pid!).map((after) => {
    const earlier = before.find(({ pid }) => pid === after.pid);
    return { name: after.name, seconds: cpuSeconds(after) - (earlier ? cpuSeconds(earlier) : 0) };
  });
  const perOrder = (spent: number) => Math.round((spent * 1e6) / result.accepted);
  const cpuMicrosPerOrder = {
    ...Object.fromEntries(cpu.map((p) => [p.name, perOrder(p.seconds)])),
    all: perOrder(cpu.reduce((sum, p) => sum + p.seconds, 0)),
  };
  const parts = Object.entries(cpuMicrosPerOrder).map(([name, micros]) => `${name} ${micros} µs`);
  console.log(`\nCPU an order with its e-mail: ${parts.join(', ')}`);

  const ratio = result.perSecond / floor.perSecond;
  console.log(`
millrace    ${result.perSecond.toFixed(0)} orders/s, p50 ${result.p50} ms, p99 ${result.p99} ms, max ${result.max} ms, ${result.errors} errors
bare server ${floor.perSecond.toFixed(0)} requests/s, p50 ${floor.p50} ms, p99 ${floor.p99} ms (node:http, one INSERT a request, nothing behind it)
ratio       ${ratio.toFixed(2)}
${others.sentence}
e-mails     all sent ${mailsAfter.toFixed(1)} s after the load`);
  const good = result.errors === 0 && result.perSecond >= 1_500 && result.p99 <= 80 && late.length === 0;
  if (late.length > 0) console.log(`incomplete after 2 s: ${late.join(', ')}`);
  console.log(
    JSON.stringify({
      ordersPerSecond: Math.round(result.perSecond),
      p50Ms: result.p50,
      p99Ms: result.p99,
      errors: result.errors,
      accepted: expected,
      counts,
      cpuMicrosPerOrder,
      barePerSecond: Math.round(floor.perSecond),
      ratio: Number(ratio.toFixed(3)),
      othersCores: others.cores,
      mailsSentAfterSeconds: Number(mailsAfter.toFixed(1)),
      ok: good,
    }),
  );
  if (!good) process.exitCode = 1;
});
