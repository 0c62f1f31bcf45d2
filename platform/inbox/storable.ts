/** What a column for people and filters keeps of a text: PostgreSQL cannot index texts that are much longer. */
const maxLength = 500;

/**
 * A text that a column of text or jsonb can hold: without U+0000 and lone surrogates, and not too long. The bytes of a
 * message are kept beside it.
 */
export function storable(text: string, max = maxLength): string {
  return text.slice(0, max).toWellFormed().replaceAll('\0', '\uFFFD');
}
