import type { TSchema } from 'typebox';
import { maxIdInDocument } from './id.ts';
import { isMoney } from './money.ts';

export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

interface References {
  named: Readonly<Record<string, TSchema>>;
  /** before each name, such as `#/components/schemas/` */
  root: string;
}

const int64 = { type: 'integer', format: 'int64' } as const;

/**
 * A schema as JSON Schema 2020-12 for a document: named schemas become `$ref`s, refinements that JSON Schema cannot express
 * are left out, and an id in a path has its own type, not that of text.
 */
export function toDocument(schema: TSchema, references?: References, isRoot = false): Json {
  const name = isRoot ? undefined : nameOf(schema, references);
  if (name !== undefined) return { $ref: `${references!.root}${name}` };
  const { 'x-format': format, ...plain } = schema as Record<string, unknown>;
  if (format === 'int64') {
    const { string, integer } = maxIdInDocument as { string: Json; integer: Json };
    if (plain['type'] === 'string') return { ...int64, minimum: 0, maximum: string };
    return { maximum: integer, ...copy(plain, references), format: 'int64' };
  }
  if (isMoney(schema)) return { ...copy(plain, references), multipleOf: 0.01 };
  return copy(plain, references);
}

function nameOf(schema: TSchema, references?: References): string | undefined {
  return references && Object.keys(references.named).find((name) => references.named[name] === schema);
}

function copy(value: Record<string, unknown>, references?: References): { [name: string]: Json } {
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name, child]) => !name.startsWith('~') && typeof child !== 'function' && child !== undefined)
      .map(([name, child]) => [name, convert(child, references)]),
  );
}

function convert(value: unknown, references?: References): Json {
  if (Array.isArray(value)) return value.map((child) => convert(child, references));
  if (typeof value === 'object' && value !== null) return toDocument(value as TSchema, references);
  return value as Json;
}

/** The definitions of named schemas for `components.schemas`. */
export function components(named: Readonly<Record<string, TSchema>>): { [name: string]: Json } {
  const references = { named, root: '#/components/schemas/' };
  return Object.fromEntries(
    Object.entries(named).map(([name, schema]) => [name, toDocument(schema, references, true)]),
  );
}
