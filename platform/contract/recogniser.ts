import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { isMoney } from './money.ts';
import { textPattern } from './text.ts';
import { eventTimePattern } from './time.ts';

/** Bytes from `start` to before `end`. */
export interface JsonBytes {
  bytes: Buffer;
  start: number;
  end: number;
}

type Node = Record<string, unknown>;

/** how many shapes are known at once: an event type mostly has one, and one more for each optional member */
const maxShapes = 8;
/** how many events are only decoded after nothing was learnt: to build a pattern takes longer than JSON.parse */
const pauseEvents = 256;
/** longer JSON is decoded */
const maxBytes = 64 * 1024;
/** how many values a shape may have, and how deep */
const maxParts = 200;
const maxDepth = 8;

/**
 * Says from the bytes alone that they are JSON that fits a schema, in a fifth of the time of JSON.parse and a check. It
 * learns the shapes of valid data (their members, in the order in which a producer writes them) as regular expressions. What
 * it recognises fits, and no name repeats in it; what it does not recognise may fit, too.
 */
export class Recogniser {
  readonly #schema: TSchema | undefined;
  readonly #shapes: RegExp[] = [];
  /** how many events more nothing is learnt */
  #pause = 0;

  /** @param schema default: any JSON fits */
  constructor(schema?: TSchema) {
    this.#schema = schema;
  }

  recognises({ bytes, start, end }: JsonBytes): boolean {
    if (this.#shapes.length === 0 || end - start > maxBytes) return false;
    const text = bytes.toString('latin1', start, end);
    const found = this.#shapes.findIndex((shape) => shape.test(text));
    if (found > 0) this.#shapes.unshift(...this.#shapes.splice(found, 1));
    return found >= 0;
  }

  /** Learns the shape of data that fits the schema. */
  learn(data: unknown): void {
    if (this.#pause > 0) {
      this.#pause -= 1;
      return;
    }
    const pattern = new PatternBuilder().patternOf(this.#schema as Node | undefined, data, 0);
    const shape = pattern === undefined ? undefined : new RegExp(`^${pattern}$`);
    const isKnown = !shape || this.#shapes.some(({ source }) => source === shape.source);
    if (isKnown || this.#shapes.length === maxShapes) this.#pause = pauseEvents;
    if (isKnown) return;
    this.#shapes.splice(maxShapes - 1);
    this.#shapes.unshift(shape);
  }
}

// The patterns are of bytes, each a character from U+0000 to U+00FF. A pattern can match a text in one way only, so that a
// failure takes linear time: an array has items of one pattern, and no two patterns of a union begin alike.
const plainCharacter = String.raw`[^"\\\x00-\x1f]`;
const text = String.raw`"${plainCharacter}*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})${plainCharacter}*)*"`;
const day = String.raw`(?:02-(?:0[1-9]|1\d|2[0-8])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01]))`;
/** without half a surrogate pair and U+0000, which only escapes can say */
const storableText = String.raw`"${plainCharacter}*(?:\\["\\/bfnrt]${plainCharacter}*)*"`;
/** as `toISOString` writes it; 29 February is left to the check */
const time = String.raw`"[1-9]\d{3}-${day}T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z"`;
const timeLength = 24;
const number = String.raw`-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?`;

/** What says nothing about a value. */
const annotations = new Set(['description', 'examples', 'title', 'default', 'x-format', '~kind', '~optional']);

/** Whether a schema has these keywords at most. */
function hasOnly(node: Node, ...keywords: string[]): boolean {
  return Object.getOwnPropertyNames(node).every((name) => annotations.has(name) || keywords.includes(name));
}

/** A regular expression that matches exactly this JSON text. */
function literal(value: unknown): string {
  return RegExp.escape(Buffer.from(JSON.stringify(value)).toString('latin1'));
}

const oneOf = (patterns: Iterable<string>) => `(?:${[...patterns].join('|')})`;

/** Builds the pattern of a shape; undefined where a schema says something that no pattern here says. */
class PatternBuilder {
  #parts = 0;

  /** @param sample a value that fits the schema */
  patternOf(schema: Node | undefined, sample: unknown, depth: number): string | undefined {
    this.#parts += 1;
    if (this.#parts > maxParts || depth > maxDepth) return undefined;
    if (schema === undefined || hasOnly(schema)) return this.#structure(undefined, sample, depth);
    if (schema['anyOf']) return hasOnly(schema, 'anyOf') ? this.#union(schema, sample, depth) : undefined;
    if (schema['type'] === 'object' || schema['type'] === 'array') return this.#structure(schema, sample, depth);
    return leafPattern(schema);
  }

  #structure(schema: Node | undefined, sample: unknown, depth: number): string | undefined {
    if (Array.isArray(sample)) {
      if (schema && !hasOnly(schema, 'type', 'items')) return undefined;
      return this.#array(schema?.['items'] as Node | undefined, sample, depth);
    }
    if (typeof sample === 'object' && sample !== null) {
      if (schema && !hasOnly(schema, 'type', 'properties', 'required')) return undefined;
      return this.#object((schema?.['properties'] ?? {}) as Record<string, Node>, sample, depth);
    }
    return schema ? undefined : oneOf([text, number, 'true', 'false', 'null']);
  }

  #array(items: Node | undefined, sample: readonly unknown[], depth: number): string | undefined {
    const patterns = new Set<string>();
    for (const one of sample) {
      const pattern = this.patternOf(items, one, depth + 1);
      if (pattern === undefined) return undefined;
      patterns.add(pattern);
    }
    if (patterns.size === 0) return String.raw`\[\]`;
    if (patterns.size > 1) return undefined;
    const [item] = patterns;
    return String.raw`\[${item}(?:, ?${item})*\]`;
  }

  #object(properties: Record<string, Node>, sample: object, depth: number): string | undefined {
    const members: string[] = [];
    for (const [name, value] of Object.entries(sample)) {
      const schema = Object.hasOwn(properties, name) ? properties[name] : undefined;
      const pattern = this.patternOf(schema, value, depth + 1);
      if (pattern === undefined) return undefined;
      members.push(`${literal(name)}: ?${pattern}`);
    }
    return String.raw`\{${members.join(', ?')}\}`;
  }

  #union(schema: Node, sample: unknown, depth: number): string | undefined {
    const patterns = new Map<unknown, string>();
    for (const option of schema['anyOf'] as Node[]) {
      const kind = option['type'] === 'integer' ? 'number' : option['type'];
      if (kind === undefined || patterns.has(kind)) continue;
      if ((kind === 'object' || kind === 'array') && !Compile(option as TSchema).Check(sample)) continue;
      const pattern = this.patternOf(option, sample, depth + 1);
      if (pattern !== undefined) patterns.set(kind, pattern);
    }
    return patterns.size > 0 ? oneOf(patterns.values()) : undefined;
  }
}

/** The pattern of values that fit a schema without members, or of most of them. */
function leafPattern(schema: Node): string | undefined {
  if (schema['enum'] && hasOnly(schema, 'enum')) return oneOf(new Set((schema['enum'] as unknown[]).map(literal)));
  switch (schema['type']) {
    case 'null':
      return hasOnly(schema, 'type') ? 'null' : undefined;
    case 'boolean':
      return hasOnly(schema, 'type') ? oneOf(['true', 'false']) : undefined;
    case 'string':
      return patternOfText(schema);
    case 'integer':
      return hasOnly(schema, ...bounds) ? numberPattern(schema, 15, '') : undefined;
    case 'number':
      if (hasOnly(schema, ...bounds)) return numberPattern(schema, 15, String.raw`(?:\.\d{1,15})?`);
      return isMoney(schema) && hasOnly(schema, ...bounds, '~refine')
        ? numberPattern(schema, exactDigits, String.raw`(?:\.\d{1,2})?`)
        : undefined;
    default:
      return undefined;
  }
}

function patternOfText(schema: Node): string | undefined {
  if (hasOnly(schema, 'type')) return text;
  if (schema['format'] === 'date-time') {
    const { pattern = eventTimePattern, maxLength = timeLength } = schema as { pattern?: string; maxLength?: number };
    const isKnown = hasOnly(schema, 'type', 'format', 'pattern', 'maxLength') && pattern === eventTimePattern;
    return isKnown && maxLength >= timeLength ? time : undefined;
  }
  if (Object.hasOwn(schema, 'pattern') && schema['pattern'] !== textPattern) return undefined;
  if (hasOnly(schema, 'type', 'pattern')) return storableText;
  const { minLength = 0, maxLength = maxBytes } = schema as { minLength?: number; maxLength?: number };
  if (minLength > 1 || !hasOnly(schema, 'type', 'pattern', 'minLength', 'maxLength')) return undefined;
  // no text has more characters than bytes
  return `"${plainCharacter}{${minLength},${Math.min(maxLength, maxBytes)}}"`;
}

const bounds = ['type', 'minimum', 'maximum'];

/** with so many digits before the point and two after it, an amount of money is exact */
const exactDigits = 12;

/** Numbers without an exponent and with so few digits that none is above the maximum. */
function numberPattern(schema: Node, maxDigits: number, fraction: string): string | undefined {
  const { minimum, maximum = Number.POSITIVE_INFINITY } = schema as { minimum?: number; maximum?: number };
  let digits = maxDigits;
  while (digits > 0 && 10 ** digits > maximum) digits -= 1;
  if (digits === 0 || (minimum !== undefined && minimum > 1)) return undefined;
  const positive = String.raw`[1-9]\d{0,${digits - 1}}`;
  const whole = minimum !== undefined && minimum > 0 ? positive : `(?:0|${positive})`;
  return `${minimum === undefined ? '-?' : ''}${whole}${fraction}`;
}
