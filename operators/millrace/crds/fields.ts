import { isObject } from '#runtime/compare.ts';
import type { KindDefinition } from '../api/common.ts';

type Json = Record<string, unknown>;

/** The fields of a kind as a table in Markdown; a nested field has its path. */
export function fieldsTable({ spec, status }: KindDefinition): string {
  const rows = [...fieldsOf(spec as unknown as Json, 'spec'), ...fieldsOf(status as unknown as Json, 'status')];
  const lines = rows.map(([path, type, what]) => `| \`${path}\` | ${type} | ${what} |`);
  return ['| field | type | what |', '| --- | --- | --- |', ...lines].join('\n');
}

function fieldsOf(schema: Json, path: string): [string, string, string][] {
  const required = new Set(Array.isArray(schema['required']) ? schema['required'] : []);
  return Object.entries((schema['properties'] ?? {}) as Record<string, Json>).flatMap(([name, field]) => {
    const at = `${path}.${name}`;
    const items = isObject(field['items']) ? field['items'] : undefined;
    const note = [typeOf(field), ...noteOf(field, required.has(name) && path.startsWith('spec'))].join(', ');
    const description = (textOf(field, 'description') ?? textOf(items, 'description') ?? '').replaceAll('|', '\\|');
    return [[at, note, description] as [string, string, string], ...fieldsOf(items ?? field, items ? `${at}[]` : at)];
  });
}

function noteOf(field: Json, isRequired: boolean): string[] {
  if ('default' in field) return [`default \`${textOf(field, 'default') ?? JSON.stringify(field['default'])}\``];
  return isRequired ? ['required'] : [];
}

function typeOf(schema: Json): string {
  const values = schema['enum'];
  if (Array.isArray(values)) return values.map((value) => `\`${String(value)}\``).join(', ');
  if (schema['x-kubernetes-int-or-string']) return 'integer or string';
  const items = isObject(schema['items']) ? schema['items'] : undefined;
  return items ? `array of ${typeOf(items)}s` : (textOf(schema, 'type') ?? 'any');
}

function textOf(schema: Json | undefined, name: string): string | undefined {
  const value = schema?.[name];
  return typeof value === 'string' ? value : undefined;
}
