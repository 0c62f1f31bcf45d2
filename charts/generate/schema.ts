import type { Value } from './values.ts';

type Schema = Record<string, unknown>;

/** CPU and memory in the form of containers, for values that templates copy. */
const quantities = { type: 'object', additionalProperties: { type: ['string', 'number'] } };
/** Values over others: null removes one. */
const over = (...types: string[]) => ({
  type: ['object', 'null'],
  additionalProperties: { type: [...types, 'null'] },
});
const quantitiesOver = over('string', 'number');
const definitions = {
  resources: {
    type: 'object',
    properties: { requests: quantities, limits: quantities },
    additionalProperties: false,
  },
  /** What a pod has otherwise than those of the services. */
  pod: {
    type: ['object', 'null'],
    properties: {
      nodeSelector: over('string'),
      tolerations: { type: ['array', 'null'], items: { type: 'object' } },
      affinity: { type: ['object', 'null'] },
      priorityClassName: { type: ['string', 'null'] },
      podLabels: { ...over('string'), propertyNames: { not: { pattern: '^app[.]kubernetes[.]io/' } } },
      podAnnotations: over('string'),
      resources: {
        type: ['object', 'null'],
        properties: { requests: quantitiesOver, limits: quantitiesOver },
        additionalProperties: false,
      },
    },
    additionalProperties: false,
  },
};

/** The JSON Schema of a chart's values: it refuses unknown keys, so that Helm reports a misspelt one. */
export function schemaOf(chart: string, values: Value[]): Schema {
  const schema = objectOf(values);
  const isUsed = ([name]: [string, object]) => JSON.stringify(schema).includes(`"#/$defs/${name}"`);
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: `Values of the chart ${chart}`,
    ...schema,
    $defs: Object.fromEntries(Object.entries(definitions).filter(isUsed)),
  };
}

function objectOf(values: Value[]): Schema {
  const properties = values.map((value) => [value.path.at(-1), schemaOfValue(value)]);
  // Helm itself passes `global` to every chart
  if (values.some(({ path }) => path.length === 1)) properties.push(['global', { type: 'object' }]);
  return { type: 'object', properties: Object.fromEntries(properties) as Schema, additionalProperties: false };
}

function schemaOfValue({ description, default: value, schema, children }: Value): Schema {
  // draft 7 ignores keys beside a $ref
  if ('$ref' in schema) return schema;
  const described = description === '' ? {} : { description };
  if (children !== undefined) return { ...described, ...objectOf(children), ...schema };
  return { ...described, ...inferred(value), ...schema };
}

function inferred(value: unknown): Schema {
  if (typeof value === 'string') return { type: 'string' };
  if (typeof value === 'boolean') return { type: 'boolean' };
  if (typeof value === 'number') return { type: Number.isInteger(value) ? 'integer' : 'number' };
  if (Array.isArray(value)) return { type: 'array' };
  return { type: 'object', additionalProperties: false };
}
