import { Type } from 'typebox';

/** PostgreSQL stores neither NUL nor half a surrogate pair. */
export const textPattern = '^[^\\u0000\\ud800-\\udfff]*$';

/** Text that a database can store or search for. */
export function Text(options: { minLength?: number; maxLength?: number; description?: string } = {}) {
  return Type.String({ pattern: textPattern, ...options });
}

const atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
const label = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?';

/** Quoted names, which may contain blanks and line breaks, addresses of hosts, and names without a domain do not match. */
export const emailPattern = `^(?=[^@]{1,64}@)${atom}(?:\\.${atom})*@(?:${label}\\.)+[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])$`;

/**
 * An address to which mail can be sent over the internet: `name@domain`. Others that RFC 5322 has get mail nowhere, or only in
 * one network.
 */
export const Email = Type.String({ format: 'email', pattern: emailPattern, maxLength: 254 });
