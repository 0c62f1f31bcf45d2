import type { TSchema } from 'typebox';

/**
 * Converts text to the number or the boolean of a schema. Text that is neither stays as it is, so that validation reports
 * it. For other schemas, text stays text.
 */
export function coerce(text: string, schema: TSchema): unknown {
  const { type } = schema as { type?: string };
  if ((type === 'integer' || type === 'number') && /^-?\d{1,15}(\.\d+)?$/.test(text)) return Number(text);
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  return text;
}
