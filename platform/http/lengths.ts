import type { TSchema } from 'typebox';
import type { FieldError } from './problem.ts';

interface Node {
  type?: string;
  items?: TSchema;
  maxItems?: number;
  properties?: Record<string, TSchema>;
  additionalProperties?: unknown;
  anyOf?: TSchema[];
}

/** The most faults that an answer lists. */
export const maxFaults = 20;

/**
 * The arrays with too many items, and the objects with many unknown fields, without a look at their contents: to name every
 * fault of such a value takes a hundred times as long as parsing it. Empty if there are none.
 */
export function lengthFaults(schema: TSchema, value: unknown): FieldError[] {
  const faults: FieldError[] = [];
  addFaults(faults, schema as Node, value, '');
  return faults;
}

function addFaults(faults: FieldError[], schema: Node, value: unknown, field: string): void {
  if (typeof value !== 'object' || value === null || faults.length >= maxFaults) return;
  for (const option of schema.anyOf ?? []) addFaults(faults, option as Node, value, field);
  if (Array.isArray(value)) addArrayFaults(faults, schema, value, field);
  else if (schema.type === 'object') addObjectFaults(faults, schema, value as Record<string, unknown>, field);
}

function addArrayFaults(faults: FieldError[], { items, maxItems }: Node, value: unknown[], field: string): void {
  if (maxItems !== undefined && value.length > maxItems) {
    faults.push({ field: field || 'body', message: `must not have more than ${maxItems} items` });
    return;
  }
  if (items === undefined) return;
  for (let i = 0; i < value.length && faults.length < maxFaults; i += 1) {
    addFaults(faults, items as Node, value[i], `${field}[${i}]`);
  }
}

function addObjectFaults(faults: FieldError[], schema: Node, value: Record<string, unknown>, field: string): void {
  const { properties = {}, additionalProperties } = schema;
  const nameOf = (name: string) => (field === '' ? name : `${field}.${name}`);
  if (additionalProperties === false) {
    const unknown = unknownNames(value, properties);
    if (unknown.length > maxFaults) {
      for (const name of unknown.slice(0, maxFaults))
        faults.push({ field: nameOf(name), message: 'is not a known field' });
      return;
    }
  }
  for (const name in properties) {
    if (Object.hasOwn(value, name)) addFaults(faults, properties[name] as Node, value[name], nameOf(name));
  }
}

/** The names of unknown fields, one more than an answer lists at most. */
function unknownNames(value: object, known: object): string[] {
  const names: string[] = [];
  for (const name in value) {
    if (!Object.hasOwn(known, name)) names.push(name);
    if (names.length > maxFaults) break;
  }
  return names;
}
