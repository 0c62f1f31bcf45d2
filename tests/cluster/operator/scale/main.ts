// How the operator does with many resources: 5,000 StreamQueries and 200 EventServices in one namespace of the cluster of
// KUBECONFIG, which has the CRDs of Strimzi and no other operator of Millrace. The bench stands in for Strimzi and for analytics.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isTrue } from '#runtime/conditions.ts';
import { eventually } from '#test/eventually.ts';
import { readNumbers } from '../../../../bench/arguments.ts';
import { testNamespace } from '../cluster.ts';
import { installCrds } from '../crds.ts';
import { startOperator } from '../process.ts';
import type { OperatorProcess } from '../process.ts';
import { startAnalytics } from './analytics.ts';
import { asPod } from './pod.ts';
import { World, forAll } from './world.ts';

const usage = 'KUBECONFIG=... npm run bench:operator -- [QUERIES] [SERVICES] [CHANGES]';
const [queries, services, changes] = readNumbers(usage, 5_000, 200, 300);
const kubeconfig = process.env['KUBECONFIG']?.split(':')[0];
if (!kubeconfig) {
  console.error(`KUBECONFIG is not set. Usage: ${usage}`);
  process.exit(2);
}

const restMs = 60_000;
const limits = { memoryMb: 250, p99Ms: 1_000, writes: 0 };

const writes = /^operator_api_requests_total\{verb="(create|update|apply|patch|delete)",resource="(?!leases)/;

/** The resident memory of a process in MB, and the most that it has been. */
function memoryOf({ child }: OperatorProcess): { now: number; most: number } {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  const megabytes = (field: string) => Math.round(Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)![1]) / 1024);
  return { now: megabytes('VmRSS'), most: megabytes('VmHWM') };
}

const seconds = (ms: number) => Math.round(ms / 100) / 10;

/** The median and the 99th percentile, in ms. */
function percentiles(times: number[]): { medianMs: number; p99Ms: number } {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => Math.round(sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)]!);
  return { medianMs: at(0.5), p99Ms: at(0.99) };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

/** Waits until the operator has written nothing for 5 s. */
async function settled(operator: OperatorProcess): Promise<void> {
  let last = -1;
  await eventually(
    async () => {
      const before = last;
      last = await operator.metric(writes);
      if (last === before) return true;
      await sleep(5_000);
      return false;
    },
    'the operator comes to rest',
    600_000,
  );
}

const say = (what: string) => console.log(what);

const home = await testNamespace();
const pod = await asPod(home);
const start = () => startOperator(kubeconfig, home.namespace, pod.env);
await installCrds(home.api);
const world = new World(home);
await world.whenSynced();
const analytics = await startAnalytics(() => world.files());
let operator: OperatorProcess | undefined;
try {
  operator = await start();
  const first = operator;
  await eventually(() => first.isLeading(), 'it leads');
  const createMs = await timed(async () => {
    await forAll(services, (index) => world.createService(index, analytics.port));
    await forAll(queries, (index) => world.createQuery(index));
  });
  say(`${queries} queries and ${services} services are created in ${seconds(createMs)} s`);
  const passedOnMs = await timed(() =>
    eventually(() => Object.keys(world.files()).length === queries, 'all are passed on', 600_000),
  );
  say(`all are passed on ${seconds(passedOnMs)} s later, in ${world.fileBytes()} bytes`);
  const isReady = () =>
    [...world.queries.store.values(), ...world.services.store.values()].every(
      // the one that runs the queries has no database here
      ({ status, metadata }) => isTrue(status?.conditions, 'Ready') || metadata.name === 'service-0',
    );
  const readyMs = await timed(() => eventually(isReady, 'all are ready', 600_000));
  say(`all are ready ${seconds(readyMs)} s after that`);
  await settled(first);
  say(`memory: ${JSON.stringify(memoryOf(first))}`);

  const took: number[] = [];
  for (let i = 0; i < changes; i += 1) {
    const having = `orders > ${i + 1}`;
    took.push(
      await timed(async () => {
        const changed = await world.changeQuery((i * 7) % queries, having);
        await eventually(() => world.hasEffect(changed, having), 'a change of a query has its effect');
      }),
    );
  }
  const ofQueries = percentiles(took);
  say(`a change of a query has its effect in ${JSON.stringify(ofQueries)}`);

  const ofServices = percentiles(
    await Array.fromAsync({ length: Math.min(services, changes) }, (_, index) =>
      timed(async () => {
        await world.changeService(index, 2);
        await eventually(() => world.partitionsOf(index) === 2, 'a change of a service has its effect');
      }),
    ),
  );
  say(`a change of a service has its effect in ${JSON.stringify(ofServices)}`);

  const burstMs = await timed(async () => {
    const changed = await Promise.all(Array.from({ length: 100 }, (_, i) => world.changeQuery(i, 'orders > 9000')));
    await eventually(() => changed.every((one) => world.hasEffect(one, 'orders > 9000')), 'all have their effect');
  });
  say(`100 changes at once have their effect in ${seconds(burstMs)} s`);

  await settled(first);
  await sleep(queries * 20); // the time between two fetches from analytics: what has changed at the last one is written
  await settled(first);
  const before = await first.lines(writes);
  await sleep(restMs);
  const atRest = (await first.lines(writes)).filter((line) => !before.includes(line));
  say(`writes in ${restMs / 1000} s of rest: ${atRest.length === 0 ? 'none' : atRest.join(', ')}`);
  const memory = memoryOf(first);
  say(`memory: ${JSON.stringify(memory)}`);

  await first.stop();
  const startMs = await timed(async () => (operator = await start()));
  const second = operator;
  const leadsMs = await timed(() => eventually(() => second.isLeading(), 'the next one leads'));
  await settled(second);
  const written = await second.metric(writes);
  say(
    `the next one has synced after ${seconds(startMs)} s, leads ${seconds(leadsMs)} s later, and writes ${written} times`,
  );

  const result = {
    queries,
    services,
    fileBytes: world.fileBytes(),
    memoryMb: Math.max(memory.now, memoryOf(second).now),
    memoryMostMb: Math.max(memory.most, memoryOf(second).most),
    queryMedianMs: ofQueries.medianMs,
    queryP99Ms: ofQueries.p99Ms,
    serviceMedianMs: ofServices.medianMs,
    serviceP99Ms: ofServices.p99Ms,
    burstSeconds: seconds(burstMs),
    writesAtRest: atRest.length,
    syncSeconds: seconds(startMs),
    writesAfterStart: written,
  };
  const isMet =
    result.memoryMostMb < limits.memoryMb &&
    Math.max(result.queryP99Ms, result.serviceP99Ms) < limits.p99Ms &&
    result.writesAtRest === limits.writes;
  console.log(JSON.stringify(result));
  process.exitCode = isMet ? 0 : 1;
} finally {
  await operator?.stop();
  await world.close();
  await analytics.close();
  await home.close();
  pod.remove();
}
