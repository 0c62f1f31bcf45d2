import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

/** A rendered resource. */
// oxlint-disable-next-line typescript/no-explicit-any -- resources of many kinds, whose shape each test knows
export type Resource = Record<string, any> & { kind: string; metadata: { name: string } };

/** Why charts cannot be rendered here, or false. */
export const withoutHelm: string | false =
  spawnSync('helm', ['version']).status === 0 ? false : 'helm is not on the path';

const folder = (chart: string) => fileURLToPath(new URL(chart, import.meta.url));
const release = ['--namespace', 'shop', '--kube-version', '1.34.0'];

export interface Render {
  /** values.yaml, as an object */
  values?: object;
  /** kinds that the cluster knows, such as monitoring.coreos.com/v1 */
  apis?: string[];
}

/**
 * The output of `helm template` for a chart. @throws with Helm's message, in `stderr`, if it refuses
 * @example render('millrace', { values: { kafka: { create: false } } })
 */
export function render(chart: string, { values = {}, apis = [] }: Render = {}): Resource[] {
  const args = ['template', 'demo', folder(chart), ...release, '--values', '-'];
  const known = apis.flatMap((api) => ['--api-versions', api]);
  const options = { input: JSON.stringify(values), encoding: 'utf8', maxBuffer: 64 << 20, stdio: 'pipe' } as const;
  const documents = parseAllDocuments(execFileSync('helm', [...args, ...known], options));
  return documents
    .map((document) => {
      if (document.errors[0]) throw document.errors[0];
      return document.toJS() as Resource | null;
    })
    .filter((resource) => resource !== null);
}

/** The one resource of that kind and name. @throws if there is none */
export function find(resources: Resource[], kind: string, name: string): Resource {
  const found = resources.filter((resource) => resource.kind === kind && resource.metadata.name === name);
  if (found.length !== 1) throw new Error(`${found.length} resources are ${kind} ${name}`);
  return found[0]!;
}

/** The templates of all pods, by `Kind name`. */
export function podTemplates(resources: Resource[]): Map<string, { metadata: Resource['metadata']; spec: Resource }> {
  const pods = resources.flatMap((resource) => {
    const template = resource.kind === 'Pod' ? resource : resource['spec']?.template;
    return template?.spec?.containers ? [[`${resource.kind} ${resource.metadata.name}`, template] as const] : [];
  });
  return new Map(pods);
}
