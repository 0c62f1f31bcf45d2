/** The text without U+0000, which PostgreSQL's text and jsonb cannot hold. */
export const storable = (text: string) => text.replaceAll('\0', '\uFFFD');
