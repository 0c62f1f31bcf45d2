import * as kubernetes from '@kubernetes/client-node';

import type { Resource } from '../testing.ts';

interface Field {
  baseName: string;
  type: string;
}
type Model = { getAttributeTypeMap?: () => Field[] } | undefined;
const modelOf = (type: string) => (kubernetes as unknown as Record<string, Model>)[type];

/**
 * What a resource has that the API of Kubernetes does not: unknown fields, and values of another type, by their path. Which fields
 * are required, the client's types do not say. Undefined for a kind of another API.
 */
export function typeFaults(resource: Resource): string[] | undefined {
  const version = String(resource['apiVersion']).split('/').at(-1)!;
  const type = `${version[0]!.toUpperCase()}${version.slice(1)}${resource.kind}`;
  return modelOf(type)?.getAttributeTypeMap === undefined
    ? undefined
    : faultsOf(resource, type, `${resource.kind} ${resource.metadata.name}`);
}

function faultsOf(value: unknown, type: string, path: string): string[] {
  const wrong = [`${path} is ${JSON.stringify(value)}, not ${type}`];
  const item = /^Array<(.*)>$/.exec(type)?.[1];
  if (item !== undefined)
    return Array.isArray(value) ? value.flatMap((one, index) => faultsOf(one, item, `${path}[${index}]`)) : wrong;
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
  const entry = /^\{ \[key: string\]: (.*); \}$/.exec(type)?.[1];
  if (entry !== undefined)
    return isMap ? Object.entries(value).flatMap(([key, one]) => faultsOf(one, entry, `${path}.${key}`)) : wrong;
  const fields = modelOf(type)?.getAttributeTypeMap?.();
  if (fields === undefined) return isOfBasicType(value, type) ? [] : wrong;
  if (!isMap) return wrong;
  return Object.entries(value).flatMap(([key, one]) => {
    const field = fields.find(({ baseName }) => baseName === key);
    return field ? faultsOf(one, field.type, `${path}.${key}`) : [`${path} has no ${key}`];
  });
}

function isOfBasicType(value: unknown, type: string): boolean {
  if (type === 'any' || type === 'object') return value !== null;
  if (type === 'IntOrString') return typeof value === 'string' || Number.isInteger(value);
  // a time is text in YAML
  return typeof value === (['number', 'boolean'].includes(type) ? type : 'string');
}
