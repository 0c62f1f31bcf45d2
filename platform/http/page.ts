/**
 * The `Link` header with the next page of a list: the same path and query, with a cursor after the last item. Empty if there
 * is no next page.
 */
export function nextPage(
  path: string,
  query: Record<string, string | number | undefined>,
  cursor: string | number | bigint | undefined,
): Record<string, string> {
  if (cursor === undefined) return {};
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value));
  parameters.set('cursor', String(cursor));
  return { Link: `<${path}?${parameters.toString()}>; rel="next"` };
}
