import assert from 'node:assert/strict';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parse } from 'yaml';

import { kubernetesVersion } from './kubernetes-version.ts';

/** A rendered resource. */
// oxlint-disable-next-line typescript/no-explicit-any -- resources of many kinds, whose shape each test knows
export type Resource = Record<string, any> & { kind: string; metadata: { name: string } };

/** Why charts cannot be rendered here, or false. */
export const withoutHelm: string | false =
  spawnSync('helm', ['version']).status === 0 ? false : 'helm is not on the path';

/** The folder of a chart. */
export const chartFolder = (chart: string): string => fileURLToPath(new URL(chart, import.meta.url));
const names = { release: 'demo', namespace: 'shop' };

export interface Render {
  /** values.yaml, as an object */
  values?: object;
  /** kinds that the cluster knows, such as monitoring.coreos.com/v1 */
  apis?: string[];
  /** the names of the release and of its namespace */
  called?: { release: string; namespace: string };
}

/**
 * The output of `helm template` for a chart. @throws with Helm's message, in `stderr`, if it refuses
 * @example render('millrace', { values: { kafka: { create: false } } })
 */
export const render = (chart: string, options?: Render): Resource[] => renderFolder(chartFolder(chart), options);

/** The same for a chart in any folder. */
export const renderFolder = (folder: string, options?: Render): Resource[] => resourcesOf(renderText(folder, options));

/** The documents that were parsed: most are the same for other values, and parsing takes as long as Helm itself. */
const parsed = new Map<string, Resource | null>();

function resourcesOf(text: string): Resource[] {
  return text
    .split(/^---$/m)
    .map((part) => {
      // a key that a map has twice is a fault: kubeconform -strict refuses it, and Helm takes the last one
      if (!parsed.has(part)) parsed.set(part, parse(part, { uniqueKeys: true }) as Resource | null);
      return structuredClone(parsed.get(part)!);
    })
    .filter((resource) => resource !== null);
}

/** The same as text. */
export function renderText(folder: string, { values = {}, apis, called }: Render = {}): string {
  const options = { input: JSON.stringify(values), encoding: 'utf8', maxBuffer: 64 << 20, stdio: 'pipe' } as const;
  return execFileSync('helm', templateArgs(folder, apis, called), options);
}

/** The same as `render`, while others go on. */
export async function renderMeanwhile(chart: string, { values = {}, apis }: Render): Promise<Resource[]> {
  return resourcesOf(await helm(templateArgs(chartFolder(chart), apis), values));
}

/** The output of `helm lint --strict`. @throws with Helm's message, in `stderr`, if it finds a fault */
export const lint = (chart: string, values: object): Promise<string> =>
  helm(['lint', '--strict', '--kube-version', kubernetesVersion, '--values', '-', chartFolder(chart)], values);

const templateArgs = (folder: string, apis: string[] = [], { release, namespace } = names) => [
  'template',
  release,
  folder,
  '--namespace',
  namespace,
  '--kube-version',
  kubernetesVersion,
  '--values',
  '-',
  ...apis.flatMap((api) => ['--api-versions', api]),
];

async function helm(args: string[], values: object, env = process.env): Promise<string> {
  const run = promisify(execFile)('helm', args, { env, maxBuffer: 64 << 20 });
  run.child.stdin!.end(JSON.stringify(values));
  return (await run).stdout;
}

/** What Helm says of a chart that it does not render with these values. @throws if it renders it */
export function refusalOf(chart: string, values: object): string {
  try {
    render(chart, { values });
  } catch (error) {
    return (error as { stderr: string }).stderr;
  }
  return assert.fail('Helm accepted it');
}

/** Why Helm refuses a chart where a cluster has the resources. Undefined where it does not. */
export async function refusalIn(cluster: Resource[], chart: string, values: object): Promise<string | undefined> {
  try {
    await renderIn(cluster, chartFolder(chart), { values });
    return undefined;
  } catch (error) {
    return (error as { stderr: string }).stderr;
  }
}

/**
 * The resources of a chart where a cluster has some, which must have an apiVersion. The cluster is a server that answers only
 * what Helm asks for in templates.
 * @param action `upgrade` renders what an upgrade would; by default it is an install
 * @throws with Helm's message, in `stderr`, if it refuses
 */
export async function renderIn(
  cluster: Resource[],
  folder: string,
  { values = {}, action = 'install' }: { values?: object; action?: 'install' | 'upgrade' } = {},
): Promise<Resource[]> {
  // `helm template` does not ask which kinds there are
  const args = [...templateArgs(folder, Object.keys(asked)), '--dry-run=server'];
  if (action === 'upgrade') args.push('--is-upgrade');
  return await withCluster(
    (path) => answerOf(cluster, path),
    async (env) => resourcesOf(await helm(args, values, env)),
  );
}

/**
 * Runs `work` with the environment in which Helm and kubectl find a cluster.
 * @param answer what its API server answers at a path; undefined: there is nothing
 */
export async function withCluster<T>(
  answer: (path: string) => object | undefined,
  work: (env: NodeJS.ProcessEnv) => Promise<T>,
): Promise<T> {
  const server = createServer((request, response) => {
    const found = answer(new URL(request.url!, 'http://cluster').pathname);
    response.writeHead(found ? 200 : 404, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify(found ?? { kind: 'Status', apiVersion: 'v1', status: 'Failure', code: 404, reason: 'NotFound' }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const home = mkdtempSync(join(tmpdir(), 'millrace-cluster-'));
  try {
    const { port } = server.address() as AddressInfo;
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server: `http://127.0.0.1:${port}` } }],
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
      users: [{ name: 'u', user: {} }],
      'current-context': 'c',
    };
    writeFileSync(join(home, 'kubeconfig'), JSON.stringify(config));
    return await work({ ...process.env, KUBECONFIG: join(home, 'kubeconfig'), HOME: home });
  } finally {
    rmSync(home, { recursive: true });
    server.closeAllConnections();
    server.close();
  }
}

/** The notes of the platform's chart where a cluster has some resources: Helm shows them to people only. @param options as for renderIn */
export async function notesIn(cluster: Resource[], options: Parameters<typeof renderIn>[2]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-notes-'));
  try {
    cpSync(chartFolder('millrace'), folder, { recursive: true });
    const text = '{{ tpl (.Files.Get "notes.txt") . | toJson }}';
    const head = '"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "notes"}';
    writeFileSync(join(folder, 'templates/notes.yaml'), `{${head}, "data": {"text": ${text}}}`);
    cpSync(join(folder, 'templates/NOTES.txt'), join(folder, 'notes.txt'));
    return find(await renderIn(cluster, folder, options), 'ConfigMap', 'notes')['data'].text;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The kinds that templates ask for. */
const asked: Record<string, string[]> = {
  v1: ['PersistentVolumeClaim', 'Service'],
  'apps/v1': ['StatefulSet', 'Deployment'],
  'kafka.strimzi.io/v1': ['Kafka', 'KafkaNodePool'],
  'millrace.dev/v1beta1': ['EventService'],
};
const pluralOf = (kind: string) => `${kind.toLowerCase()}s`;
const rootOf = (version: string) => (version === 'v1' ? '/api/v1' : `/apis/${version}`);

/** What an API server answers at a path: an object, or which kinds there are. */
function answerOf(cluster: Resource[], path: string): object | undefined {
  const object = cluster.find(
    ({ kind, metadata, apiVersion }) =>
      path === `${rootOf(apiVersion as string)}/namespaces/shop/${pluralOf(kind)}/${metadata.name}`,
  );
  if (object) return object;
  if (path === '/version') return { major: '1', minor: '34', gitVersion: `v${kubernetesVersion}` };
  const [groupVersion, kinds] = Object.entries(asked).find(([version]) => rootOf(version) === path) ?? [];
  if (!kinds) return undefined;
  const resources = kinds.map((kind) => ({ name: pluralOf(kind), kind, namespaced: true, verbs: ['get'] }));
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources };
}

/** The one resource of that kind and name. @throws if there is none */
export function find(resources: Resource[], kind: string, name: string): Resource {
  const found = resources.filter((resource) => resource.kind === kind && resource.metadata.name === name);
  if (found.length !== 1) throw new Error(`${found.length} resources are ${kind} ${name}`);
  return found[0]!;
}

/** The names of the resources of a kind. */
export const namesOf = (resources: Resource[], kind: string): string[] =>
  resources.filter((resource) => resource.kind === kind).map(({ metadata }) => metadata.name);

/** The templates of all pods, by `Kind name`. */
export function podTemplates(resources: Resource[]): Map<string, { metadata: Resource['metadata']; spec: Resource }> {
  const pods = resources.flatMap((resource) => {
    const spec = resource['spec']?.jobTemplate?.spec ?? resource['spec'];
    const template = resource.kind === 'Pod' ? resource : spec?.template;
    return template?.spec?.containers ? [[`${resource.kind} ${resource.metadata.name}`, template] as const] : [];
  });
  return new Map(pods);
}
