import { createHash } from 'node:crypto';

/** The strong entity tag of a version. */
export function entityTag(version: number): string {
  return `"${version}"`;
}

/** The strong entity tag of a body, for what has no version. */
export function contentTag(payload: Buffer): string {
  return `"${createHash('sha256').update(payload).digest('base64url').slice(0, 22)}"`;
}

/**
 * Reads If-Match (RFC 9110, 13.1.1): the versions that it allows, or undefined if it allows any. Weak and foreign tags
 * match nothing.
 */
export function parseIfMatch(header: string | undefined): number[] | undefined {
  if (header === undefined || header.trim() === '*') return undefined;
  return header.split(',').flatMap((tag) => {
    const version = /^"([1-9]\d{0,8})"$/.exec(tag.trim())?.[1];
    return version === undefined ? [] : [Number(version)];
  });
}

/** Whether If-None-Match (RFC 9110, 13.1.2) names a tag: the client has what it asks for. A weak tag counts, too. */
export function isKnown(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  return header.split(',').some((known) => known.trim().replace(/^W\//, '') === tag);
}
