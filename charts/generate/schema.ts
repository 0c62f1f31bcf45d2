import { databaseNamePattern } from '#platform/declaration-schema';
import { durationPattern } from '#platform/declarations';

import type { Value } from './values.ts';

type Schema = Record<string, unknown>;

/** What text can be: Kubernetes would refuse anything else, in the middle of an upgrade. */
const patterns: Record<string, string> = {
  quantity: '([0-9]+([.][0-9]*)?|[.][0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?',
  duration: durationPattern.slice(1, -1),
  databaseName: databaseNamePattern.slice(1, -1),
  cidr: '[0-9]{1,3}([.][0-9]{1,3}){3}/[0-9]{1,2}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*/[0-9]{1,3}',
  name: '[a-z0-9]([-a-z0-9.]*[a-z0-9])?',
};

/** CPU and memory in the form of containers, for values that templates copy. */
const quantity = { type: ['string', 'number', 'null'], is: 'quantity', minimum: 0 };
const quantities = written({ type: 'object', additionalProperties: quantity });
const resources = {
  type: 'object',
  properties: { requests: quantities, limits: quantities },
  additionalProperties: false,
};

/** Values over others: null removes one. */
const over = (values: Schema) => ({ type: ['object', 'null'], additionalProperties: values });
const texts = over({ type: ['string', 'null'] });

/** What a pod has otherwise than those of the services. */
const pod = written({
  type: ['object', 'null'],
  properties: {
    nodeSelector: texts,
    tolerations: { type: ['array', 'null'], items: { type: 'object' } },
    affinity: { type: ['object', 'null'] },
    priorityClassName: { type: ['string', 'null'], is: 'name?' },
    podLabels: { ...texts, propertyNames: { not: { pattern: '^app[.]kubernetes[.]io/' } } },
    podAnnotations: texts,
    resources: {
      type: ['object', 'null'],
      properties: { requests: over(quantity), limits: over(quantity) },
      additionalProperties: false,
    },
  },
  additionalProperties: false,
});

/** What Helm itself passes to every chart. */
const global = {
  type: 'object',
  properties: {
    imagePullSecrets: {
      type: ['array', 'null'],
      items: { type: ['string', 'object'], required: ['name'], properties: { name: { type: 'string' } } },
    },
  },
};

/**
 * The JSON Schema of a chart's values. It refuses unknown keys, so that Helm reports a misspelt one, and a null unless a value takes it:
 * for Helm a null removes the default, and templates would look for it in vain. `#/$defs/service` are differences from the value
 * `defaults`.
 */
export function schemaOf(chart: string, values: Value[]): Schema {
  const { properties, ...whole } = objectOf(values, 'whole');
  const defaults = values.find(({ path }) => path[0] === 'defaults')?.children;
  const isUsed = ([name]: [string, Schema]) => JSON.stringify(properties).includes(`"#/$defs/${name}"`);
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: `Values of the chart ${chart}`,
    ...whole,
    properties: { ...(properties as Schema), global },
    $defs: {
      ...Object.fromEntries(Object.entries({ resources, pod }).filter(isUsed)),
      ...(defaults && { service: { ...objectOf(defaults, 'part'), type: ['object', 'null'] } }),
    },
  };
}

/** @param what a `part` of the values need not have each of them */
function objectOf(values: Value[], what: 'whole' | 'part'): Schema {
  const schemas = values.map((value) => [value.path.at(-1)!, schemaOfValue(value, what)] as const);
  const required = schemas.filter(([, schema]) => !takesNull(schema)).map(([key]) => key);
  return {
    type: 'object',
    properties: Object.fromEntries(schemas),
    additionalProperties: false,
    ...(what === 'whole' && { required }),
  };
}

function takesNull({ type, $ref }: Schema): boolean {
  if ($ref === '#/$defs/pod') return takesNull(pod);
  return Array.isArray(type) && type.includes('null');
}

function schemaOfValue({ description, default: value, schema, children }: Value, what: 'whole' | 'part'): Schema {
  // draft 7 ignores keys beside a $ref
  if ('$ref' in schema) return schema;
  const described = description === '' ? {} : { description };
  if (children !== undefined) return { ...described, ...objectOf(children, what), ...schema };
  return { ...described, ...inferred(value), ...written(schema) };
}

/** A schema as JSON Schema has it: `is: name` is the pattern of that name, `is: name?` takes empty text, too. */
function written({ is, ...schema }: Schema): Schema {
  const below = Object.entries(schema).map(([key, value]) => [key, isSchema(value) ? written(value) : value] as const);
  if (typeof is !== 'string') return Object.fromEntries(below);
  const pattern = patterns[is.replace('?', '')];
  if (pattern === undefined) throw new Error(`values.yaml: no pattern is called ${is}`);
  return { ...Object.fromEntries(below), pattern: `^(${pattern})${is.endsWith('?') ? '?' : ''}$` };
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function inferred(value: unknown): Schema {
  if (typeof value === 'string') return { type: 'string' };
  if (typeof value === 'boolean') return { type: 'boolean' };
  if (typeof value === 'number') return { type: Number.isInteger(value) ? 'integer' : 'number' };
  if (Array.isArray(value)) return { type: 'array' };
  return { type: 'object', additionalProperties: false };
}
