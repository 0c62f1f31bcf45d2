/**
 * The parts of JSON Schema that the page shows: names, types, limits and an example.
 *
 * @typedef {Record<string, any>} Schema
 */

/**
 * @param {Schema} schema
 * @param {Record<string, Schema>} named
 * @returns {Schema} the target of a reference
 */
export function resolve(schema, named) {
  const name = nameOf(schema);
  return name === undefined ? schema : (named[name] ?? {});
}

/** @param {Schema} schema */
export function nameOf(schema) {
  return typeof schema['$ref'] === 'string' ? schema['$ref'].split('/').at(-1) : undefined;
}

/**
 * A type in a few words: `Order[]`, `string or null`, `PENDING | CONFIRMED`.
 *
 * @param {Schema} schema
 * @returns {string}
 */
export function typeOf(schema) {
  const name = nameOf(schema);
  if (name !== undefined) return name;
  if (schema['const'] !== undefined) return JSON.stringify(schema['const']);
  if (Array.isArray(schema['enum'])) return schema['enum'].join(' | ');
  if (Array.isArray(schema['anyOf'])) return schema['anyOf'].map(typeOf).join(' or ');
  if (schema['type'] === 'array') return `${typeOf(schema['items'] ?? {})}[]`;
  if (schema['type'] === undefined) return 'any';
  return schema['format'] ? `${schema['type']} (${schema['format']})` : String(schema['type']);
}

/**
 * The limits of a value: `3 to 50 characters`.
 *
 * @param {Schema} schema
 */
export function limitsOf({ minLength, maxLength, minimum, maximum, minItems, maxItems, default: preset }) {
  const parts = [
    range(minLength, maxLength, 'characters'),
    range(minItems, maxItems, 'items'),
    range(minimum, maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum, ''),
    preset === undefined ? '' : `default ${preset}`,
  ];
  return parts.filter(Boolean).join(', ');
}

/**
 * @param {number | undefined} min
 * @param {number | undefined} max
 * @param {string} unit
 */
function range(min, max, unit) {
  if (min === undefined && max === undefined) return '';
  const text = min === undefined ? `at most ${max}` : max === undefined ? `at least ${min}` : `${min} to ${max}`;
  return unit ? `${text} ${unit}` : text;
}

/**
 * A value that fits.
 *
 * @param {Schema} schema
 * @param {Record<string, Schema>} named
 * @returns {any}
 */
export function sample(schema, named) {
  const plain = resolve(schema, named);
  if (plain['examples']?.length > 0) return plain['examples'][0];
  if (plain['const'] !== undefined) return plain['const'];
  if (plain['default'] !== undefined) return plain['default'];
  if (plain['enum']) return plain['enum'][0];
  if (plain['anyOf']) return sample(plain['anyOf'][0], named);
  if (plain['type'] === 'object') {
    const fields = Object.entries(plain['properties'] ?? {});
    return Object.fromEntries(fields.map(([name, field]) => [name, sample(field, named)]));
  }
  if (plain['type'] === 'array') return [sample(plain['items'] ?? {}, named)];
  if (plain['type'] === 'integer' || plain['type'] === 'number')
    return Math.max(plain['minimum'] ?? 1, plain['type'] === 'integer' ? 1 : 0);
  if (plain['type'] === 'boolean') return true;
  if (plain['format'] === 'email') return 'ada@example.org';
  if (plain['format'] === 'date-time') return '2026-01-01T12:00:00.000Z';
  return plain['type'] === 'string' ? 'text' : null;
}
