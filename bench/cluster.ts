// npm run bench:cluster -- --tag TAG [--values FILE] [--rates 20,100] [--seconds 60]: installs both charts into the cluster of the
// current context. It prints the time until every pod is ready and the helm test passes, the memory of each pod, and, for each rate of
// orders a second, what the pods use.
import { chdir } from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { output } from '../tests/cluster/platform/cluster.ts';
import { kubectl } from './cluster/kubectl.ts';
import { memoryByPod } from './cluster/pods.ts';
import { measureRates } from './cluster/rates.ts';

chdir(fileURLToPath(new URL('..', import.meta.url)));
const { values: options } = parseArgs({
  options: {
    tag: { type: 'string' },
    values: { type: 'string' },
    namespace: { type: 'string', default: 'millrace-bench' },
    rates: { type: 'string', default: '' },
    seconds: { type: 'string', default: '60' },
  },
});
const { namespace } = options;
const system = `${namespace}-system`;
const rates = options.rates.split(',').filter(Boolean).map(Number);
const seconds = Number(options.seconds);
if (![...rates, seconds].every((number) => Number.isInteger(number) && number > 0)) {
  console.error('--rates and --seconds are whole numbers, such as --rates 20,100 --seconds 60.');
  process.exit(2);
}
const image = options.tag === undefined ? [] : ['--set', `image.tag=${options.tag}`];
const values = options.values === undefined ? [] : ['--values', options.values];

const begin = performance.now();
const passed = () => Math.round((performance.now() - begin) / 1000);
const helm = (...args: string[]) => output('helm', args);
const install = (release: string, into: string, ...more: string[]) =>
  helm('install', release, `charts/${release}`, `--namespace=${into}`, '--create-namespace', ...image, ...more);
try {
  // CRDs belong to the cluster: an existing one does not change
  const known = await kubectl('get', 'crds', '-o', 'name');
  const crds = known.includes('eventservices.millrace.dev') ? ['--set', 'crds.install=false'] : [];
  await kubectl('create', 'namespace', namespace); // the operator's Role is in it
  await install('millrace-operator', system, ...crds, '--set', `watchNamespaces={${namespace}}`);
  await install(
    'millrace',
    namespace,
    ...values,
    '--set',
    `networkPolicy.operatorNamespace=${system}`,
    '--wait',
    '--timeout=10m',
  );
  const readyAfterSeconds = passed();
  console.log(`every pod ready after ${readyAfterSeconds} s (target: 90 s)`);
  await helm('test', 'millrace', `--namespace=${namespace}`);
  console.log(`helm test green after ${passed()} s`);
  const rows = await memoryByPod();
  for (const { where, pod, mib } of rows.toSorted((a, b) => b.mib - a.mib))
    console.log(`${String(mib).padStart(6)} MiB  ${where}/${pod}`);
  const ours = rows.filter(({ where }) => where === namespace || where === system);
  const podsMib = ours.reduce((sum, { mib }) => sum + mib, 0);
  console.log(`${String(podsMib).padStart(6)} MiB  in the pods of ${namespace} and ${system} (target: 1,536)`);
  const measured = await measureRates(namespace, rates, seconds);
  for (const { rate, placed, failed, p50Ms, p99Ms, components, bytesAnOrder } of measured) {
    console.log(
      `\n${rate} orders/s: ${placed} placed, ${failed} failed, p50 ${p50Ms} ms, p99 ${p99Ms} ms; an order takes ${bytesAnOrder.postgresql} bytes in PostgreSQL, ${bytesAnOrder.kafka} in Kafka`,
    );
    for (const [name, { pods, cores, mib }] of Object.entries(components))
      console.log(`${cores.toFixed(3).padStart(8)} cores ${String(mib).padStart(6)} MiB  ${name} (${pods})`);
  }
  console.log(JSON.stringify({ readyAfterSeconds, podsMib, rates: measured }));
} finally {
  await helm('uninstall', 'millrace', `--namespace=${namespace}`, '--ignore-not-found', '--wait');
  await helm('uninstall', 'millrace-operator', `--namespace=${system}`, '--ignore-not-found');
  await kubectl('delete', 'namespace', namespace, system, '--ignore-not-found', '--wait=false');
}
