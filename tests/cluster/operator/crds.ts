import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Api } from '#runtime/api.ts';
import type { KubeObject, ResourceType } from '#runtime/objects.ts';
import { eventually } from '#test/eventually.ts';
import { crdsDir } from '../../../operators/millrace/crds/generate.ts';

const crds: ResourceType = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
};

interface Crd extends KubeObject {
  status?: { conditions?: { type: string; status: string }[] };
}

/** The CRDs of Millrace. */
export function declaredCrds(): Crd[] {
  return readdirSync(crdsDir).map((file) => parse(readFileSync(join(crdsDir, file), 'utf8')) as Crd);
}

/** The messages of the CEL rules in a part of a CRD. */
export function celMessages(part: unknown): string[] {
  if (typeof part !== 'object' || part === null) return [];
  return Object.entries(part).flatMap(([name, inner]) =>
    name === 'x-kubernetes-validations'
      ? (inner as { message: string }[]).map(({ message }) => message)
      : celMessages(inner),
  );
}

/** Applies the CRDs of the operator's chart to the cluster, and waits until they are served. */
export async function installCrds(api: Api): Promise<void> {
  for (const { metadata, ...rest } of declaredCrds()) {
    await api.apply(crds, { ...rest, metadata }, 'millrace-tests');
    await eventually(async () => {
      const found = await api.get<Crd>(crds, undefined, metadata.name);
      return found?.status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True');
    }, `${metadata.name} is served`);
  }
}
