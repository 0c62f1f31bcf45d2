/**
 * The subject of the verified token of a request, percent-encoded. The gateway sets it and drops that of a client; services are
 * reached through the gateway alone.
 */
export const subjectHeader = 'x-millrace-subject';

/** The subject that the gateway vouches for; undefined without authentication. */
export function subjectOf(header: (name: string) => string | undefined): string | undefined {
  const value = header(subjectHeader);
  if (value === undefined || value === '') return undefined;
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
