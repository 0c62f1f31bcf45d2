import type { KubeObject } from '#runtime/objects.ts';
import { isObject } from '#runtime/compare.ts';
import { apiVersion, columnsOf, deprecatedVersions, group, version } from '../api/common.ts';
import type { KindDefinition } from '../api/common.ts';

type Json = Record<string, unknown>;

/** The status of a new resource, which the operator has not seen: tools that wait for it would take none for done. */
const unseen = { observedGeneration: -1 };

/** The CustomResourceDefinition of a kind. */
export function crdOf(definition: KindDefinition): KubeObject & { spec: Json } {
  const { kind, plural, shortNames } = definition;
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
      // the versions have one schema: a webhook would have nothing to convert
      conversion: { strategy: 'None' },
      versions: [
        { name: version, served: true, storage: true, ...contentOf(definition) },
        ...deprecatedVersions.map((name) => ({
          name,
          served: true,
          storage: false,
          deprecated: true,
          deprecationWarning: `${group}/${name} ${kind} is deprecated; use ${apiVersion}, which has the same fields`,
          ...contentOf(definition),
        })),
      ],
    },
  };
}

/** What every version of a kind has. */
function contentOf(definition: KindDefinition): Json {
  const { description, spec, status, rules } = definition;
  return {
    subresources: { status: {} },
    additionalPrinterColumns: columnsOf(definition),
    schema: {
      openAPIV3Schema: {
        type: 'object',
        description,
        required: ['spec'],
        ...(rules ? { 'x-kubernetes-validations': rules } : {}),
        properties: {
          apiVersion: { type: 'string' },
          kind: { type: 'string' },
          metadata: { type: 'object' },
          spec: structural(spec),
          status: { ...(structural(status) as Json), default: unseen },
        },
      },
    },
  };
}

/** Keywords that the structural schema of a CRD does not allow: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/ */
const omitted = new Set(['examples', '$schema', '$id']);
/** That a schema has no other members is said by `additionalProperties: false`, too; the schema of a map's values is kept. */
const isOmitted = (name: string, value: unknown) =>
  omitted.has(name) || name.startsWith('~') || (name === 'additionalProperties' && !isObject(value));

/** The structural schema that the API server requires: an enum has a type, and unknown members are pruned, not refused. */
function structural(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(structural);
  if (!isObject(schema)) return schema;
  const entries = Object.entries(schema).filter(([name, value]) => !isOmitted(name, value));
  const kept: Json = Object.fromEntries(
    entries.map(([name, value]) => [
      name,
      name === 'properties' && isObject(value)
        ? Object.fromEntries(Object.entries(value).map(([member, inner]) => [member, structural(inner)]))
        : structural(value),
    ]),
  );
  if (Array.isArray(kept['required'])) {
    const required = withoutDefault(kept['required'] as string[], kept);
    if (required.length > 0) kept['required'] = required;
    else delete kept['required'];
  }
  return 'enum' in kept && !('type' in kept) ? { type: 'string', ...kept } : kept;
}

/** The members that somebody must give: the API server fills in one that has a default, so that the operator always finds it. */
function withoutDefault(required: readonly string[], schema: Json): string[] {
  const properties = (schema['properties'] ?? {}) as Record<string, Json>;
  return required.filter((name) => !('default' in (properties[name] ?? {})));
}
