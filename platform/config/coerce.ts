import type { TSchema } from 'typebox';

/**
 * Reads text as what a schema of a number or a boolean wants. Text that is none stays as it is, so that validation
 * names it. Other schemas keep text.
 */
export function coerce(text: string, schema: TSchema): unknown {
  const { type } = schema as { type?: string };
  if ((type === 'integer' || type === 'number') && /^-?\d{1,15}(\.\d+)?$/.test(text)) return Number(text);
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  return text;
}
