import type { Json } from './schema-document.ts';

type JsonObject = { [name: string]: Json };

/**
 * Whom a change can break: the readers of what we send, the senders of what we read, or, with an event, both. The log keeps events
 * of every version, and during a rolling upgrade both versions run; and each reader validates what it reads.
 */
export type Direction = 'sent' | 'received' | 'event';

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const list = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : []);
const names = (value: Json | undefined) => list(value).filter((name) => typeof name === 'string');
const object = (value: Json | undefined): JsonObject => (isObject(value) ? value : {});

/** Bounds: a schema becomes narrower when a `max…` falls or a `min…` rises. */
const upper = ['maximum', 'maxLength', 'maxItems'] as const;
const lower = ['minimum', 'minLength', 'minItems'] as const;

/**
 * What a change of a schema breaks, a sentence each; empty if the schema has only grown. A sent schema can gain fields, but
 * it must not lose one, nor allow values that a reader does not know. A received schema can allow more, but must not require
 * more. An event can gain optional fields, and nothing else.
 */
export function breaks(before: Json, after: Json, direction: Direction, path = ''): string[] {
  const old = object(before);
  const now = object(after);
  const at = path === '' ? 'the body' : path;
  const found: string[] = [];
  if (JSON.stringify(old['$ref']) !== JSON.stringify(now['$ref'])) found.push(`${at} refers to another schema`);
  const [oldValue, nowValue] = [nullable(old), nullable(now)];
  if (oldValue !== undefined && nowValue !== undefined) {
    return [...found, ...breaks(oldValue, nowValue, direction, path)];
  }
  if (JSON.stringify(old['type']) !== JSON.stringify(now['type'])) {
    return [...found, `${at} changed its type from ${typeName(old)} to ${typeName(now)}`];
  }
  found.push(...fieldBreaks(old, now, direction, path));
  if (isObject(old['items'])) found.push(...breaks(old['items'], now['items'] ?? {}, direction, `${path}[]`));
  found.push(...valueBreaks(old, now, direction, at));
  if (direction !== 'sent') found.push(...boundBreaks(old, now, at));
  if (direction === 'event') found.push(...boundBreaks(now, old, at, 'wider'));
  if (old['pattern'] !== now['pattern'] && direction !== 'sent') {
    found.push(`${at} changed its pattern to ${textOf(now['pattern'])}`);
  }
  if (direction !== 'sent' && now['additionalProperties'] === false && old['additionalProperties'] !== false)
    found.push(`${at} no longer accepts fields that it does not know`);
  if (old['format'] !== now['format']) found.push(`${at} changed its format to ${textOf(now['format'])}`);
  found.push(...variantBreaks(old, now, direction, at));
  return found;
}

/** What a schema allows beside null; undefined if it does not allow null, or more than one other. */
function nullable({ anyOf }: JsonObject): Json | undefined {
  const variants = list(anyOf);
  const others = variants.filter((variant) => object(variant)['type'] !== 'null');
  return variants.length === 2 && others.length === 1 ? others[0] : undefined;
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : 'none';
}

function typeName(schema: JsonObject): string {
  return schema['type'] === undefined ? 'any' : JSON.stringify(schema['type']);
}

function fieldBreaks(old: JsonObject, now: JsonObject, direction: Direction, path: string): string[] {
  const before = object(old['properties']);
  const after = object(now['properties']);
  const found: string[] = [];
  for (const [name, schema] of Object.entries(before)) {
    const field = path === '' ? name : `${path}.${name}`;
    const kept = after[name];
    if (kept === undefined) found.push(`${field} is gone`);
    else found.push(...breaks(schema, kept, direction, field));
  }
  const required = { before: names(old['required']), after: names(now['required']) };
  const fieldOf = (name: string) => (path === '' ? name : `${path}.${name}`);
  const lost = required.before.filter((name) => !required.after.includes(name) && after[name] !== undefined);
  const added = required.after.filter((name) => !required.before.includes(name));
  if (direction !== 'received') found.push(...lost.map((name) => `${fieldOf(name)} is no longer always there`));
  if (direction === 'received') found.push(...added.map((name) => `${fieldOf(name)} is now required`));
  if (direction === 'event')
    found.push(
      ...added.map((name) => `${fieldOf(name)} is required, but older events do not have it: make it optional`),
    );
  return found;
}

function valueBreaks(old: JsonObject, now: JsonObject, direction: Direction, at: string): string[] {
  if (!Array.isArray(old['enum']) && !Array.isArray(now['enum'])) return [];
  const before = list(old['enum']);
  const after = list(now['enum']);
  const found: string[] = [];
  if (direction !== 'received') {
    const added = Array.isArray(old['enum']) ? after.filter((value) => !before.includes(value)) : [];
    if (Array.isArray(now['enum']))
      found.push(...added.map((value) => `${at} takes a new value, ${JSON.stringify(value)}`));
    else found.push(`${at} takes any value now`);
  }
  if (direction !== 'sent') {
    const gone = Array.isArray(now['enum']) ? before.filter((value) => !after.includes(value)) : [];
    if (Array.isArray(old['enum']))
      found.push(...gone.map((value) => `${at} does not take ${JSON.stringify(value)} any more`));
    else found.push(`${at} is limited to some values now`);
  }
  return found;
}

function boundBreaks(old: JsonObject, now: JsonObject, at: string, verb = 'narrower'): string[] {
  const narrower = (name: string, isNarrower: (before: number, after: number) => boolean) => {
    const after = now[name];
    if (typeof after !== 'number') return [];
    const before = old[name];
    if (typeof before === 'number' && !isNarrower(before, after)) return [];
    return [`${at} has a ${verb} ${name}: ${JSON.stringify(verb === 'wider' ? (before ?? null) : after)}`];
  };
  return [
    ...upper.flatMap((name) => narrower(name, (before, after) => after < before)),
    ...lower.flatMap((name) => narrower(name, (before, after) => after > before)),
  ];
}

/** Compares variants (`anyOf`) as texts: readers do not know an added one, and senders still send a removed one. */
function variantBreaks(old: JsonObject, now: JsonObject, direction: Direction, at: string): string[] {
  const before = list(old['anyOf']).map((variant) => JSON.stringify(variant));
  const after = list(now['anyOf']).map((variant) => JSON.stringify(variant));
  const added = direction === 'received' ? [] : after.filter((variant) => !before.includes(variant));
  const gone = direction === 'sent' ? [] : before.filter((variant) => !after.includes(variant));
  return [
    ...added.map((variant) => `${at} may be something new: ${variant}`),
    ...gone.map((variant) => `${at} may no longer be: ${variant}`),
  ];
}
