/**
 * Text as one line that is safe in a header and in a message: control characters and line separators (Unicode's too)
 * become blanks, halves of surrogate pairs are replaced, and text longer than `maxLength` characters is cut.
 */
export function oneLine(text: string, maxLength = 200): string {
  const line = text
    .toWellFormed()
    // eslint-disable-next-line no-control-regex -- the rule removes control characters
    .replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')
    .trim();
  return line.length <= maxLength ? line : `${line.slice(0, maxLength - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

/** Whether text has only printable ASCII (and, if allowed, line breaks). */
export function isPrintableAscii(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}
