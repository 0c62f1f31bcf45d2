import { Type } from 'typebox';

const maxId = 2n ** 63n - 1n;

/** A number for JSON.stringify, with each of its digits: JavaScript would round it. */
const rawJson = (JSON as unknown as { rawJSON(digits: string): unknown }).rawJSON;

/** What the document says of the largest id: in a text, and in a body, where parsing rounds larger ones to 2^63. */
export const maxIdInDocument = { string: rawJson(String(maxId)), integer: rawJson(String(2n ** 63n - 1024n)) };

/** An id in JSON: a 64-bit integer from 1 on, which the database assigns. */
export const Id = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, 'x-format': 'int64' });

/** The version of an entity in an event, which counts its changes: a 32-bit integer from 1 on. */
export const Version = Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 });

/**
 * A reference to an existing id in a request body. Parsing loses digits of JSON numbers with more than 53 bits: such an id is
 * well formed, but must be treated as unknown (`isExactId`).
 */
export const IdReference = Type.Refine(
  Type.Integer({ minimum: 1, 'x-format': 'int64' }),
  (value) => typeof value !== 'number' || value < 2 ** 63,
  () => 'must be a 64-bit integer',
);

/** Whether parsing has kept all digits of the id. */
export function isExactId(id: number): boolean {
  return Number.isSafeInteger(id);
}

/** An id in a path or a query string, as text: the decimal digits of a 64-bit integer. */
export const PathId = Type.Refine(
  Type.String({ pattern: '^[0-9]{1,19}$', 'x-format': 'int64' }),
  (text) => typeof text !== 'string' || !/^[0-9]{1,19}$/.test(text) || BigInt(text) <= maxId,
  () => 'must be a 64-bit integer',
);
