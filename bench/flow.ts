// Measures the lag of the read model: places orders at a steady rate through the gateway and takes the time from the
// response of the POST until GET /orders/{id} shows the order.
import { performance } from 'node:perf_hooks';
import { readNumbers } from './arguments.ts';
import { orderBody, percentiles, randomOf } from './load.ts';
import { watchOthers } from './others.ts';
import { withBenchPlatform } from './platform.ts';

const [rate, seconds] = readNumbers('npm run bench:flow -- [RATE] [SECONDS]', 50, 30);

await withBenchPlatform({ sampled: 1 }, async ({ platform, userIds }) => {
  const random = randomOf(42);
  const gateway = platform.url('gateway');
  const answered: number[] = [];
  const visible: number[] = [];
  let errors = 0;

  async function placeAndRead(): Promise<void> {
    const begin = performance.now();
    const placed = await fetch(`${gateway}/api/orders`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: orderBody(random, userIds),
    });
    const { id, version } = (await placed.json()) as { id: number; version: number };
    const after = performance.now();
    // the response comes when the projection has the version; after a second without it, it is a 404
    const read = await fetch(`${gateway}/api/orders/${id}?minVersion=${version}`);
    await read.arrayBuffer();
    if (placed.status !== 201 || read.status !== 200) errors += 1;
    answered.push(after - begin);
    visible.push(performance.now() - after);
  }

  for (let i = 0; i < rate; i++) await placeAndRead(); // warm-up
  answered.length = 0;
  visible.length = 0;

  const watched = watchOthers();
  const begin = performance.now();
  const underWay: Promise<void>[] = [];
  for (let i = 0; i < rate * seconds; i++) {
    const due = begin + (i * 1000) / rate;
    const wait = due - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    underWay.push(
      placeAndRead().catch(() => {
        errors += 1;
      }),
    );
  }
  await Promise.all(underWay);
  const others = watched();

  const post = percentiles(answered);
  const read = percentiles(visible);
  const round = (value: number) => Number(value.toFixed(1));
  console.log(`${answered.length} orders at ${rate} a second, ${errors} errors`);
  console.log(`POST answered after       median ${round(post.median)} ms, p99 ${round(post.p99)} ms`);
  console.log(
    `then in the read model    median ${round(read.median)} ms, p99 ${round(read.p99)} ms, max ${round(read.max)} ms`,
  );
  console.log(others.sentence);
  console.log(
    JSON.stringify({
      orders: answered.length,
      rate,
      errors,
      othersCores: others.cores,
      postMedianMs: round(post.median),
      postP99Ms: round(post.p99),
      readModelMedianMs: round(read.median),
      readModelP99Ms: round(read.p99),
      readModelMaxMs: round(read.max),
    }),
  );
  if (errors > 0 || read.median > 20 || read.p99 > 100) process.exitCode = 1;
});
