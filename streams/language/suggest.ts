import { closest, distance } from 'fastest-levenshtein';

/** `; did you mean X?` if a known word is similar, else an empty text. */
export function suggestion(word: string, known: readonly string[]): string {
  if (known.length === 0) return '';
  const nearest = closest(word, known);
  const isNear = distance(word.toLowerCase(), nearest.toLowerCase()) <= Math.max(1, Math.floor(word.length / 3));
  return isNear && nearest !== word ? `; did you mean ${nearest}?` : '';
}
