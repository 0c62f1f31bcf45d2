import { Environment } from '@marcbachmann/cel-js';
import { Compile } from 'typebox/compile';
import { Value } from 'typebox/value';
import { EventServiceSpec } from './event-service.ts';
import type { Rule } from './fields.ts';

const cel = new Environment({ unlistedVariablesAreDyn: false }).registerVariable('self', 'dyn');

/**
 * Holds the declarations of services against the schema that the operator's CRD is made from, and its rules.
 * @returns each mistake, with the service and the field: `orders: spec.port must be integer`
 */
export function declarationFaults(
  services: readonly { metadata: { name: string }; spec: EventServiceSpec }[],
): string[] {
  const schema = Compile(EventServiceSpec);
  return services.flatMap(({ metadata, spec: declared }) => {
    const spec = Value.Default(EventServiceSpec, structuredClone(declared)) as EventServiceSpec;
    const unknown = Object.keys(spec).filter((field) => !Object.hasOwn(EventServiceSpec.properties, field));
    const found = [
      ...unknown.map((field) => `spec.${field} is not known`),
      ...schema.Errors(spec).map(({ instancePath, message }) => `spec${instancePath.replaceAll('/', '.')} ${message}`),
    ];
    // a rule takes for granted that its value has the types of the schema
    const all = found.length > 0 ? found : brokenRules(EventServiceSpec as unknown as Schema, spec, 'spec');
    return all.map((fault) => `${metadata.name}: ${fault}`);
  });
}

/** The parts of a schema that lead to its rules. */
interface Schema {
  properties?: Record<string, Schema>;
  items?: Schema;
  'x-kubernetes-validations'?: Rule[];
}

/** The rules that the API server would refuse a new resource by: one about `oldSelf` is for changes. */
function brokenRules(schema: Schema, value: unknown, path: string): string[] {
  if (value === undefined) return [];
  const broken = (schema['x-kubernetes-validations'] ?? [])
    .filter(({ rule }) => !/\boldSelf\b/.test(rule) && cel.evaluate(rule, { self: value }) !== true)
    .map(({ message }) => `${path}: ${message}`);
  const members = Object.entries(schema.properties ?? {}).flatMap(([name, inner]) =>
    brokenRules(inner, (value as Record<string, unknown>)[name], `${path}.${name}`),
  );
  const { items } = schema;
  const elements = items ? (value as unknown[]).flatMap((one, at) => brokenRules(items, one, `${path}.${at}`)) : [];
  return [...broken, ...members, ...elements];
}
