/** The strong entity tag of a version of an order. */
export function entityTag(version: number): string {
  return `"${version}"`;
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
