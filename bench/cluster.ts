// npm run bench:cluster -- --tag TAG [--values FILE]: installs both charts into the cluster of the current context. It prints the
// time until every pod is ready and the helm test passes, and the memory of each pod.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { setTimeout } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values: options } = parseArgs({
  options: {
    tag: { type: 'string' },
    values: { type: 'string' },
    namespace: { type: 'string', default: 'millrace-bench' },
  },
});
const { namespace } = options;
const system = `${namespace}-system`;
const run = async (program: string, ...args: string[]) =>
  (await promisify(execFile)(program, args, { cwd: root, maxBuffer: 64 << 20 })).stdout;
const image = options.tag === undefined ? [] : ['--set', `image.tag=${options.tag}`];
const values = options.values === undefined ? [] : ['--values', options.values];

interface PodMemory {
  where: string;
  pod: string;
  mib: number;
}

/** The memory of each running pod, after metrics-server has measured all of them. */
async function memoryByPod(): Promise<PodMemory[]> {
  const everywhere = ['--all-namespaces', '--no-headers'];
  for (;;) {
    const running = (
      await run('kubectl', 'get', 'pods', '--field-selector=status.phase=Running', ...everywhere)
    ).trim();
    const measured = (await run('kubectl', 'top', 'pods', ...everywhere)).trim();
    const rows = measured
      .split('\n')
      .map((line) => line.split(/\s+/))
      .map(([where = '', pod = '', , memory = '0']) => ({ where, pod, mib: Number.parseInt(memory) }));
    const isMeasured = (line: string) =>
      rows.some(({ where, pod }) => line.startsWith(where) && line.includes(` ${pod} `));
    if (running.split('\n').every(isMeasured)) return rows;
    await setTimeout(2_000);
  }
}

const begin = performance.now();
const seconds = () => ((performance.now() - begin) / 1000).toFixed(0);
const install = (release: string, into: string, ...more: string[]) =>
  run('helm', 'install', release, `charts/${release}`, `--namespace=${into}`, '--create-namespace', ...image, ...more);
try {
  // CRDs belong to the cluster: an existing one does not change
  const known = await run('kubectl', 'get', 'crds', '-o', 'name');
  const crds = known.includes('eventservices.millrace.dev') ? ['--set', 'crds.install=false'] : [];
  await run('kubectl', 'create', 'namespace', namespace); // the operator's Role is in it
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
  console.log(`every pod ready after ${seconds()} s`);
  await run('helm', 'test', 'millrace', `--namespace=${namespace}`);
  console.log(`helm test green after ${seconds()} s (target: 120 s)`);
  const rows = await memoryByPod();
  for (const { where, pod, mib } of rows.toSorted((a, b) => b.mib - a.mib))
    console.log(`${String(mib).padStart(6)} MiB  ${where}/${pod}`);
  console.log(`${String(rows.reduce((sum, { mib }) => sum + mib, 0)).padStart(6)} MiB  in all (target: 4,096)`);
} finally {
  await run('helm', 'uninstall', 'millrace', `--namespace=${namespace}`, '--ignore-not-found', '--wait');
  await run('helm', 'uninstall', 'millrace-operator', `--namespace=${system}`, '--ignore-not-found');
  await run('kubectl', 'delete', 'namespace', namespace, system, '--ignore-not-found', '--wait=false');
}
