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
const upper = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties'] as const;
const lower = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties'] as const;

/** Keywords that have rules of their own below. */
const ruled = new Set([
  ...'$ref type const enum anyOf pattern format items'.split(' '),
  ...'properties required patternProperties additionalProperties'.split(' '),
  ...upper,
  ...lower,
]);
/** Keywords that tell people something, and refuse no value. */
const annotations = new Set(
  '$comment $id $schema title description default deprecated example examples readOnly writeOnly'.split(' '),
);
/** Keywords that refuse values, whatever stands beside them: a schema is narrower with them. */
const narrowing = new Set(['multipleOf', 'uniqueItems', 'allOf', 'oneOf', 'not']);

/**
 * What a change of a schema breaks, a sentence each; empty if the schema has only grown. A sent schema can gain fields, but
 * it must not lose one, nor allow values that a reader does not know. A received schema can allow more, but must not require
 * more. An event can gain optional fields, and nothing else. A keyword without a rule here must not change.
 */
export function breaks(before: Json, after: Json, direction: Direction, path = ''): string[] {
  const at = path === '' ? 'the body' : path;
  if (before === false || after === false) return before === after ? [] : [`${at} is allowed in one version alone`];
  const old = object(before);
  const now = object(after);
  const [oldValue, nowValue] = [nullable(old), nullable(now)];
  if (oldValue !== undefined && nowValue !== undefined) {
    const beside = breaks(without(old, 'anyOf'), without(now, 'anyOf'), direction, path);
    return [...beside, ...breaks(oldValue, nowValue, direction, path)];
  }
  const found: string[] = [];
  if (differ('$ref', old, now)) found.push(`${at} refers to another schema`);
  if (differ('type', old, now)) return [...found, `${at} changed its type from ${typeName(old)} to ${typeName(now)}`];
  found.push(...fieldBreaks(old, now, direction, path));
  found.push(...otherFieldBreaks(old, now, direction, path));
  found.push(...itemBreaks(old, now, direction, path));
  found.push(...valueBreaks(old, now, direction, at));
  if (direction !== 'sent') found.push(...boundBreaks(old, now, at));
  if (direction === 'event') found.push(...boundBreaks(now, old, at, 'wider'));
  if (old['pattern'] !== now['pattern'] && direction !== 'sent') {
    found.push(`${at} changed its pattern to ${textOf(now['pattern'])}`);
  }
  if (old['format'] !== now['format']) found.push(`${at} changed its format to ${textOf(now['format'])}`);
  found.push(...variantBreaks(old, now, direction, at));
  found.push(...keywordBreaks(old, now, direction, at));
  return found;
}

function differ(keyword: string, old: JsonObject, now: JsonObject): boolean {
  return JSON.stringify(old[keyword]) !== JSON.stringify(now[keyword]);
}

function without(schema: JsonObject, keyword: string): JsonObject {
  return Object.fromEntries(Object.entries(schema).filter(([name]) => name !== keyword));
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

const fieldAt = (path: string, name: string) => (path === '' ? name : `${path}.${name}`);

function fieldBreaks(old: JsonObject, now: JsonObject, direction: Direction, path: string): string[] {
  const before = object(old['properties']);
  const after = object(now['properties']);
  const found: string[] = [];
  for (const [name, schema] of Object.entries(before)) {
    const field = fieldAt(path, name);
    const kept = after[name];
    if (kept === undefined) found.push(`${field} is gone`);
    else found.push(...breaks(schema, kept, direction, field));
  }
  if (direction !== 'received')
    for (const [name, schema] of Object.entries(after))
      if (before[name] === undefined) found.push(...newFieldBreaks(old, schema, direction, fieldAt(path, name), name));
  const required = { before: names(old['required']), after: names(now['required']) };
  const lost = required.before.filter((name) => !required.after.includes(name) && after[name] !== undefined);
  const added = required.after.filter((name) => !required.before.includes(name));
  if (direction !== 'received') found.push(...lost.map((name) => `${fieldAt(path, name)} is no longer always there`));
  if (direction === 'received') found.push(...added.map((name) => `${fieldAt(path, name)} is now required`));
  if (direction === 'event')
    found.push(
      ...added.map((name) => `${fieldAt(path, name)} is required, but older events do not have it: make it optional`),
    );
  return found;
}

/** What becomes of a new field where the earlier readers have a schema for the fields that they do not know by name. */
function newFieldBreaks(old: JsonObject, schema: Json, direction: Direction, field: string, name: string): string[] {
  const byPattern = Object.entries(object(old['patternProperties'])).filter(([pattern]) =>
    new RegExp(pattern).test(name),
  );
  const schemas = byPattern.length > 0 ? byPattern.map(([, own]) => own) : [othersOf(old)];
  return schemas.flatMap((own) => {
    if (own === false) return [`${field} is new, but earlier readers accept no fields that they do not know`];
    return isObject(own) && Object.keys(own).length > 0 ? breaks(own, schema, direction, field) : [];
  });
}

/** The schema of the fields that have none by their name or a pattern. */
function othersOf({ additionalProperties: others }: JsonObject): Json {
  return others === undefined || others === true ? {} : others;
}

function otherFieldBreaks(old: JsonObject, now: JsonObject, direction: Direction, path: string): string[] {
  const at = path === '' ? 'the body' : path;
  const [before, after] = [object(old['patternProperties']), object(now['patternProperties'])];
  const [oldOthers, nowOthers] = [othersOf(old), othersOf(now)];
  const patterns = new Set([...Object.keys(before), ...Object.keys(after)]);
  const found = [...patterns].flatMap((pattern) =>
    breaks(before[pattern] ?? oldOthers, after[pattern] ?? nowOthers, direction, `${path}{${pattern}}`),
  );
  if (!differ('additionalProperties', old, now)) return found;
  if (nowOthers === false && direction !== 'sent') found.push(`${at} no longer accepts fields that it does not know`);
  if (oldOthers === false && direction !== 'received')
    found.push(`${at} may have more fields, but earlier readers accept none that they do not know`);
  if (oldOthers !== false && nowOthers !== false)
    found.push(...breaks(oldOthers, nowOthers, direction, fieldAt(path, '*')));
  return found;
}

function itemBreaks(old: JsonObject, now: JsonObject, direction: Direction, path: string): string[] {
  const [before, after] = [old['items'], now['items']];
  if (!differ('items', old, now)) return [];
  if (Array.isArray(before) || Array.isArray(after)) return [`${path}[] is another row of items`];
  return breaks(before ?? {}, after ?? {}, direction, `${path}[]`);
}

/** The values that a schema lists, as texts; undefined if it lists none. */
function valuesOf(schema: JsonObject): string[] | undefined {
  const values = schema['const'] === undefined ? schema['enum'] : [schema['const']];
  return Array.isArray(values) ? values.map((value) => JSON.stringify(value)) : undefined;
}

function valueBreaks(old: JsonObject, now: JsonObject, direction: Direction, at: string): string[] {
  const [before, after] = [valuesOf(old), valuesOf(now)];
  const found: string[] = [];
  if (direction !== 'received' && before) {
    if (after) {
      const added = after.filter((value) => !before.includes(value));
      found.push(...added.map((value) => `${at} takes a new value, ${value}`));
    } else found.push(`${at} takes any value now`);
  }
  if (direction !== 'sent' && after) {
    if (before) {
      const gone = before.filter((value) => !after.includes(value));
      found.push(...gone.map((value) => `${at} does not take ${value} any more`));
    } else found.push(`${at} is limited to some values now`);
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
  if (!Array.isArray(old['anyOf']) || !Array.isArray(now['anyOf'])) {
    if (Array.isArray(now['anyOf']) && direction !== 'sent') return [`${at} is limited to some variants now`];
    if (Array.isArray(old['anyOf']) && direction !== 'received') return [`${at} takes more than its variants now`];
    return [];
  }
  const before = old['anyOf'].map((variant) => JSON.stringify(variant));
  const after = now['anyOf'].map((variant) => JSON.stringify(variant));
  const added = direction === 'received' ? [] : after.filter((variant) => !before.includes(variant));
  const gone = direction === 'sent' ? [] : before.filter((variant) => !after.includes(variant));
  return [
    ...added.map((variant) => `${at} may be something new: ${variant}`),
    ...gone.map((variant) => `${at} may no longer be: ${variant}`),
  ];
}

/** Compares the keywords without a rule of their own as texts. */
function keywordBreaks(old: JsonObject, now: JsonObject, direction: Direction, at: string): string[] {
  const isNarrower = (keyword: string) => narrowing.has(keyword) && old[keyword] === undefined;
  const isWider = (keyword: string) => narrowing.has(keyword) && now[keyword] === undefined;
  return [...new Set([...Object.keys(old), ...Object.keys(now)])]
    .filter((keyword) => !ruled.has(keyword) && !annotations.has(keyword) && differ(keyword, old, now))
    .filter((keyword) => !(direction === 'sent' && isNarrower(keyword)))
    .filter((keyword) => !(direction === 'received' && isWider(keyword)))
    .map((keyword) => `${at} changed its ${keyword} to ${JSON.stringify(now[keyword]) ?? 'none'}`);
}
