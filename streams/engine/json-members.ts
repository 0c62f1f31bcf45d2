import type { ByteRange } from '#platform/kafka';
import { parseExactly } from './exact-json.ts';

/** Reads some members of a JSON object. */
export type MemberReader = (json: ByteRange) => unknown;

const quote = 0x22;
const backslash = 0x5c;
const [openBrace, closeBrace, openBracket, closeBracket, comma, colon] = [0x7b, 0x7d, 0x5b, 0x5d, 0x2c, 0x3a];

/**
 * Makes a reader that decodes only the members with these names and skips the others, which are most of an event. It stops
 * when it has found all of them, because the decoder of events has seen that the text is JSON in which no name repeats. Text
 * that usual serializers do not write goes to JSON.parse.
 */
export function memberReader(names: Iterable<string>): MemberReader {
  const wanted = [...names].map((name) => ({ name, bytes: Buffer.from(name) }));
  return ({ bytes, start, end }) => {
    const found: Record<string, unknown> = {};
    if (readInto(found, bytes, start, end, wanted)) return found;
    return parseExactly(bytes.toString('utf8', start, end));
  };
}

interface Wanted {
  name: string;
  bytes: Uint8Array;
}

/** @returns whether it could read the text; if not, JSON.parse has to */
function readInto(
  found: Record<string, unknown>,
  json: Buffer,
  start: number,
  end: number,
  wanted: readonly Wanted[],
): boolean {
  if (json[start] !== openBrace || json[end - 1] !== closeBrace) return false;
  let left = wanted.length;
  let at = skipSpace(json, start + 1, end);
  if (json[at] === closeBrace) return at < end;
  while (left > 0) {
    if (json[at] !== quote) return false;
    const nameAt = at + 1;
    at = endOfText(json, nameAt, end);
    if (at < 0 || json[at] !== quote) return false; // a name with an escape, or a truncated one
    const member = find(wanted, json, nameAt, at);
    at = skipSpace(json, at + 1, end);
    if (json[at] !== colon) return false;
    const valueAt = skipSpace(json, at + 1, end);
    at = endOfValue(json, valueAt, end);
    if (at < 0) return false;
    if (member) {
      const value = valueOf(json, valueAt, at);
      if (value === undefined) return false;
      found[member.name] = value;
      left -= 1;
    }
    at = skipSpace(json, at, end);
    if (json[at] === closeBrace) return at < end;
    if (json[at] !== comma) return false;
    at = skipSpace(json, at + 1, end);
  }
  return true;
}

function find(wanted: readonly Wanted[], json: Buffer, start: number, end: number): Wanted | undefined {
  for (const member of wanted) {
    const { bytes } = member;
    if (bytes.length !== end - start) continue;
    let i = 0;
    while (i < bytes.length && bytes[i] === json[start + i]) i += 1;
    if (i === bytes.length) return member;
  }
  return undefined;
}

function skipSpace(json: Buffer, from: number, end: number): number {
  let at = from;
  while (at < end && json[at]! <= 0x20) at += 1;
  return at;
}

/** The position of the next quote or backslash; -1 if there is none. */
function endOfText(json: Buffer, from: number, end: number): number {
  for (let at = from; at < end; at++) {
    const byte = json[at];
    if (byte === quote || byte === backslash) return at;
  }
  return -1;
}

/** The position after the text that begins with the quote before `from`; -1 if it does not end. */
function behindText(json: Buffer, from: number, end: number): number {
  let at = endOfText(json, from, end);
  while (at >= 0 && json[at] === backslash) at = endOfText(json, at + 2, end);
  return at < 0 ? -1 : at + 1;
}

/** The position after the value that begins at `from`; -1 if it does not end. */
function endOfValue(json: Buffer, from: number, end: number): number {
  if (json[from] === quote) return behindText(json, from + 1, end);
  let depth = 0;
  for (let at = from; at < end; at++) {
    const byte = json[at]!;
    if (byte === quote) {
      at = behindText(json, at + 1, end) - 1;
      if (at < 0) return -1;
    } else if (byte === openBrace || byte === openBracket) {
      depth += 1;
    } else if (byte === closeBrace || byte === closeBracket) {
      if (depth === 0) return at; // the end of the enclosing object
      depth -= 1;
      if (depth === 0) return at + 1;
    } else if (depth === 0 && (byte === comma || byte <= 0x20)) {
      return at;
    }
  }
  return -1;
}

/** The powers of ten that are needed; a double holds each of them exactly. */
const powers = Array.from({ length: 16 }, (_, i) => 10 ** i);

/** The value; undefined if it is not valid JSON. */
function valueOf(json: Buffer, start: number, end: number): unknown {
  if (json[start] === quote) {
    return endOfText(json, start + 1, end) === end - 1
      ? json.toString('utf8', start + 1, end - 1)
      : parse(json, start, end);
  }
  return numberOf(json, start, end) ?? parse(json, start, end);
}

/** A number of at most 15 digits: the quotient of two exact numbers, which IEEE 754 rounds correctly. */
function numberOf(json: Buffer, start: number, end: number): number | undefined {
  if (end - start > 16 || end === start) return undefined;
  let digits = 0;
  let point = -1;
  for (let at = start; at < end; at++) {
    const byte = json[at]!;
    if (byte === 0x2e && point < 0 && at > start && at < end - 1) point = at;
    else if (byte >= 0x30 && byte <= 0x39) digits = digits * 10 + byte - 0x30;
    else return undefined;
  }
  const length = point < 0 ? end - start : end - start - 1;
  const leadingZero = json[start] === 0x30 && length > 1 && point !== start + 1;
  if (length > 15 || leadingZero) return undefined;
  return point < 0 ? digits : digits / powers[end - point - 1]!;
}

function parse(json: Buffer, start: number, end: number): unknown {
  try {
    return parseExactly(json.toString('utf8', start, end));
  } catch {
    return undefined;
  }
}
