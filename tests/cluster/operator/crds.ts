import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Api } from '#runtime/api.ts';
import type { KubeObject, ResourceType } from '#runtime/objects.ts';
import { eventually } from '#test/eventually.ts';
import { crdsDir } from '../../../operators/millrace/crds/generate.ts';

export const crds: ResourceType = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
};

export interface Crd extends KubeObject {
  spec: { versions: { name: string; storage: boolean; deprecated?: boolean; deprecationWarning?: string }[] };
  status?: { storedVersions?: string[]; conditions?: { type: string; status: string }[] };
}

/** The CRDs of Millrace. */
export function declaredCrds(): Crd[] {
  return readdirSync(crdsDir).map((file) => parse(readFileSync(join(crdsDir, file), 'utf8')) as Crd);
}

/** The messages of the CEL rules of a CRD: each version has the same ones. */
export function celMessages({ spec }: Crd): string[] {
  return messagesIn(spec.versions[0]);
}

function messagesIn(part: unknown): string[] {
  if (typeof part !== 'object' || part === null) return [];
  return Object.entries(part).flatMap(([name, inner]) =>
    name === 'x-kubernetes-validations'
      ? (inner as { message: string }[]).map(({ message }) => message)
      : messagesIn(inner),
  );
}

/** Applies the CRDs of the operator's chart to the cluster, and waits until they are served. */
export async function installCrds(api: Api): Promise<void> {
  for (const crd of declaredCrds()) await installCrd(api, crd);
}

/** Applies a CRD, and waits until it is served. */
export async function installCrd(api: Api, crd: Crd): Promise<void> {
  await api.apply(crds, crd, 'millrace-tests');
  await eventually(async () => {
    const found = await api.get<Crd>(crds, undefined, crd.metadata.name);
    return found?.status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True');
  }, `${crd.metadata.name} is served`);
}
