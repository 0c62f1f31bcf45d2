import { canonical, equal, isObject } from './compare.ts';

/** The members that the server may use as the key of the items of a list. */
const itemKeys = ['name', 'type', 'containerPort', 'port', 'mountPath', 'ip', 'uid', 'topologyKey', 'key'];

/**
 * Whether an observed value has everything that is wanted. It may have more, such as defaults and values of other managers.
 * Items of lists of objects are compared by their key, other lists as a whole.
 */
export function covers(observed: unknown, wanted: unknown): boolean {
  if (wanted === undefined) return true;
  if (isObject(wanted)) {
    if (!isObject(observed)) return Object.keys(wanted).length === 0 && observed === undefined;
    return Object.entries(wanted).every(([name, value]) => covers(observed[name], value));
  }
  if (Array.isArray(wanted)) return Array.isArray(observed) && coversList(observed, wanted);
  return equal(observed, wanted);
}

function coversList(observed: unknown[], wanted: unknown[]): boolean {
  const key = itemKeys.find((name) => isKey(name, wanted));
  if (key === undefined) {
    return observed.length === wanted.length && wanted.every((item, i) => covers(observed[i], item));
  }
  return wanted.every((item) => {
    const id = (item as Record<string, unknown>)[key];
    return observed.some((other) => isObject(other) && equal(other[key], id) && covers(other, item));
  });
}

function isKey(name: string, items: unknown[]): boolean {
  const ids = new Set(items.map((item) => (isObject(item) ? canonical(item[name]) : undefined)));
  return items.length > 0 && ids.size === items.length && !ids.has(undefined);
}

/**
 * Whether the applied fields (`fieldsV1`) include everything that is desired. A field that is missing was never applied, or
 * another manager has taken it over.
 */
export function owns(fields: Record<string, unknown>, desired: unknown): boolean {
  if (Object.keys(fields).every((step) => step === '.')) return true; // the manager owns the value as a whole
  if (isObject(desired)) {
    return Object.entries(desired).every(([name, value]) => {
      const inner = fields[`f:${name}`];
      return value === undefined || (isObject(inner) && owns(inner, value));
    });
  }
  if (!Array.isArray(desired)) return true;
  return desired.every((item) =>
    Object.entries(fields).some(
      ([step, inner]) => memberOf([item], step) !== undefined && isObject(inner) && owns(inner, item),
    ),
  );
}

/**
 * Whether the applied fields (`fieldsV1`) include one that is no longer desired: an apply would remove it.
 * @see https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
 */
export function disowns(fields: Record<string, unknown>, desired: unknown): boolean {
  return Object.entries(fields).some(([step, inner]) => {
    if (step === '.') return false;
    const value = memberOf(desired, step);
    if (value === undefined) return true;
    return isObject(inner) && Object.keys(inner).length > 0 && disowns(inner, value);
  });
}

/** The value that a step of `fieldsV1` names: `f:name` a member, `k:{...}` the item with that key, `v:...` the item itself. */
function memberOf(value: unknown, step: string): unknown {
  const rest = step.slice(2);
  if (step.startsWith('f:')) return isObject(value) ? value[rest] : undefined;
  if (!Array.isArray(value)) return undefined;
  if (step.startsWith('i:')) return value[Number(rest)] as unknown;
  const key = JSON.parse(rest) as unknown;
  if (step.startsWith('v:')) return value.find((item) => equal(item, key)) as unknown;
  // the desired item may leave out a part of the key that has a default, such as `protocol: TCP`
  return value.find(
    (item) =>
      isObject(item) &&
      Object.entries(key as object).every(([name, part]) => item[name] === undefined || equal(item[name], part)),
  ) as unknown;
}
