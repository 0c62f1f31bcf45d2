import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';

import { apply, scriptPod } from '../../tests/cluster/platform/cluster.ts';
import { kubectl } from './kubectl.ts';
import { usageByComponent } from './pods.ts';

const pod = 'bench';
/** the kubelet measures the pods every 10 s or so, each at its own time */
const settleMs = 20_000;

/** What the platform needed for a rate of orders. */
export interface RateResult {
  /** orders a second that were asked for */
  rate: number;
  placed: number;
  failed: number;
  p50Ms: number;
  p99Ms: number;
  /** by component: the mean number of cores, and the memory in MiB after the load */
  components: Record<string, { pods: number; cores: number; mib: number }>;
  /** bytes that an order takes in the databases, without the write-ahead log, and in Kafka on one broker */
  bytesAnOrder: { postgresql: number; kafka: number };
}

/** Bytes on the disks of the bundled PostgreSQL and of the first broker. */
async function stored(namespace: string): Promise<{ postgresql: number; kafka: number }> {
  const inPod = (name: string, ...command: string[]) =>
    kubectl('exec', `--namespace=${namespace}`, name, '--', ...command);
  const sql = 'SELECT sum(pg_database_size(oid)) FROM pg_database';
  const brokers = await kubectl('get', 'pods', `--namespace=${namespace}`, '--selector=strimzi.io/name=millrace-kafka', '--output=name'); // prettier-ignore
  const [broker] = brokers.split('\n');
  return {
    postgresql: Number(await inPod('postgresql-0', 'psql', '--username=postgres', '--no-psqlrc', '-tAc', sql)),
    kafka: Number.parseInt(await inPod(broker!, 'du', '-sb', '/var/lib/kafka')),
  };
}

/** Places orders at each rate, one after the other, in an installed platform with the bundled PostgreSQL. */
export async function measureRates(
  namespace: string,
  rates: readonly number[],
  seconds: number,
): Promise<RateResult[]> {
  if (rates.length === 0) return [];
  const image = await kubectl('get', `--namespace=${namespace}`, 'deployment/gateway', '--output=jsonpath={.spec.template.spec.containers[0].image}'); // prettier-ignore
  const script = readFileSync(new URL('load.mjs', import.meta.url), 'utf8');
  for (const object of scriptPod(pod, image, script)) await apply(object, namespace);
  await kubectl('wait', `--namespace=${namespace}`, '--for=condition=Ready', `pod/${pod}`, '--timeout=60s');
  const results: RateResult[] = [];
  for (const rate of rates) results.push(await measureRate(namespace, rate, seconds));
  return results;
}

async function measureRate(namespace: string, rate: number, seconds: number): Promise<RateResult> {
  const [usedBefore, storedBefore] = [await usageByComponent(namespace), await stored(namespace)];
  const said = await kubectl('exec', `--namespace=${namespace}`, pod, '--', 'node', '/script/script.mjs', `${rate}`, `${seconds}`); // prettier-ignore
  await setTimeout(settleMs);
  const [used, storedAfter] = [await usageByComponent(namespace), await stored(namespace)];
  const { placed, p50Ms, p99Ms, failures } = JSON.parse(said) as {
    placed: number;
    p50Ms: number;
    p99Ms: number;
    failures: Record<string, number>;
  };
  for (const [what, count] of Object.entries(failures)) console.log(`${count} orders failed: ${what}`);
  const components = [...used]
    .filter(([name]) => name !== pod)
    .map(([name, { pods, cpuSeconds, mib }]) => {
      const spent = cpuSeconds - (usedBefore.get(name)?.cpuSeconds ?? 0);
      return [name, { pods, cores: Number((spent / seconds).toFixed(3)), mib: Math.round(mib) }] as const;
    });
  const bytes = (of: 'postgresql' | 'kafka') => Math.round((storedAfter[of] - storedBefore[of]) / placed);
  return {
    rate,
    placed,
    failed: Object.values(failures).reduce((sum, n) => sum + n, 0),
    p50Ms,
    p99Ms,
    components: Object.fromEntries(components),
    bytesAnOrder: { postgresql: bytes('postgresql'), kafka: bytes('kafka') },
  };
}
