import { Type } from 'typebox';

const maxId = 2n ** 63n - 1n;

/** An id in JSON: a 64-bit integer given by the database, from 1 on. */
export const Id = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, 'x-format': 'int64' });

/**
 * The id of something that exists elsewhere, in a request body. JSON numbers of more than 53 bits lose digits
 * when parsed, so such an id is accepted as well formed but must be treated as unknown (`isExactId`).
 */
export const IdReference = Type.Refine(
  Type.Integer({ minimum: 1, 'x-format': 'int64' }),
  (value) => typeof value !== 'number' || value < 2 ** 63,
  () => 'must be a 64-bit integer',
);

/** Whether a parsed JSON number is the very id that the sender wrote. */
export function isExactId(id: number): boolean {
  return Number.isSafeInteger(id);
}

/** An id in a path or a query string, kept as text: decimal digits of a 64-bit integer. */
export const PathId = Type.Refine(
  Type.String({ pattern: '^[0-9]{1,19}$', 'x-format': 'int64' }),
  (text) => typeof text !== 'string' || !/^[0-9]{1,19}$/.test(text) || BigInt(text) <= maxId,
  () => 'must be a 64-bit integer',
);
