import type { KubeObject } from '#runtime/objects.ts';
import { isObject } from '#runtime/compare.ts';
import { columnsOf, group, version } from '../api/common.ts';
import type { KindDefinition } from '../api/common.ts';

type Json = Record<string, unknown>;

/** The status of a new resource, which the operator has not seen: tools that wait for it would take none for done. */
const unseen = { observedGeneration: -1 };

/** The CustomResourceDefinition of a kind. */
export function crdOf(definition: KindDefinition): KubeObject & { spec: Json } {
  const { kind, plural, shortNames, description, spec, status } = definition;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}`, labels: { 'app.kubernetes.io/part-of': 'millrace' } },
    spec: {
      group,
      scope: 'Namespaced',
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        shortNames,
        categories: ['millrace'],
      },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columnsOf(definition),
          schema: {
            openAPIV3Schema: {
              type: 'object',
              description,
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string' },
                kind: { type: 'string' },
                metadata: { type: 'object' },
                spec: structural(spec),
                status: { ...(structural(status) as Json), default: unseen },
              },
            },
          },
        },
      ],
    },
  };
}

/** Keywords that the structural schema of a CRD does not allow: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/ */
const omitted = new Set(['additionalProperties', 'examples', '$schema', '$id']);

/** The structural schema that the API server requires: an enum has a type, and unknown members are pruned, not refused. */
function structural(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(structural);
  if (!isObject(schema)) return schema;
  const entries = Object.entries(schema).filter(([name]) => !omitted.has(name) && !name.startsWith('~'));
  const kept: Json = Object.fromEntries(
    entries.map(([name, value]) => [
      name,
      name === 'properties' && isObject(value)
        ? Object.fromEntries(Object.entries(value).map(([member, inner]) => [member, structural(inner)]))
        : structural(value),
    ]),
  );
  return 'enum' in kept && !('type' in kept) ? { type: 'string', ...kept } : kept;
}
