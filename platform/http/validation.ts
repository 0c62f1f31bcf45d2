import type { Static, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import type { TObject } from 'typebox';
import type { IncomingHttpHeaders } from 'node:http';
import { coerce } from '#platform/config';
import { patternMessages } from '#platform/contract';
import type { HeaderSpec } from '#platform/contract';
import { lengthFaults, maxFaults } from './lengths.ts';
import { badRequest } from './problem.ts';
import type { FieldError } from './problem.ts';

interface Fault {
  keyword: string;
  schemaPath: string;
  instancePath: string;
  params: unknown;
  message: string;
}

/** A JSON pointer as a field: `items[0].quantity` for `/items/0/quantity`. */
function fieldOf(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce((path, part) => (/^\d+$/.test(part) ? `${path}[${part}]` : path === '' ? part : `${path}.${part}`), '');
}

/** The faults of a value as field errors; they name missing and unknown fields. */
function fieldErrors(faults: readonly Fault[]): FieldError[] {
  const errors: FieldError[] = [];
  for (const fault of faults) {
    const found = errorsOf(fault);
    // for a value that fits no variant, the fault of the first variant is enough: "or null" would only confuse
    // and what has a wrong length or format matches no pattern
    const repeats = fault.schemaPath.includes('/anyOf/') || fault.keyword === 'pattern';
    errors.push(...found.filter(({ field }) => !repeats || !errors.some((known) => known.field === field)));
  }
  return errors;
}

function errorsOf({ keyword, instancePath, params, message }: Fault): FieldError[] {
  const field = fieldOf(instancePath);
  const named = (names: string[], text: string) =>
    names.map((name) => ({ field: fieldOf(`${instancePath}/${name}`), message: text }));
  if (keyword === 'required') {
    return named((params as { requiredProperties: string[] }).requiredProperties, 'is required');
  }
  if (keyword === 'additionalProperties') {
    return named((params as { additionalProperties: string[] }).additionalProperties, 'is not a known field');
  }
  if (keyword === 'enum') {
    const { allowedValues } = params as { allowedValues: unknown[] };
    return [{ field, message: `must be one of ${allowedValues.join(', ')}` }];
  }
  if (keyword === 'pattern') {
    const { pattern } = params as { pattern: string };
    return [{ field: field || 'body', message: patternMessages.get(pattern) ?? message }];
  }
  // other faults say the same as these
  if (keyword === 'boolean' || keyword === 'anyOf') return [];
  return [{ field: field || 'body', message }];
}

/** Makes a check that returns the typed value, or throws a 400 that names each field. */
export function bodyValidator<S extends TSchema>(schema: S): (value: unknown) => Static<S> {
  const validator = Compile(schema);
  return (value) => {
    if (validator.Check(value)) return value as Static<S>;
    const tooLong = lengthFaults(schema, value);
    const errors =
      tooLong.length > 0 ? tooLong : fieldErrors(validator.Errors(value) as unknown as Fault[]).slice(0, maxFaults);
    throw badRequest(
      errors.length === 1 ? 'The body has a fault' : `The body has ${errors.length} faults`,
      errors.length > 0 ? errors : [{ field: 'body', message: 'does not fit the schema' }],
    );
  };
}

/** The same for path and query parameters, which are text. It ignores parameters that are not in the schema. */
export function parameterValidator(schema: TObject): (values: Record<string, unknown>) => Record<string, unknown> {
  const validator = Compile(schema);
  const properties = Object.entries(schema.properties as Record<string, TSchema & { default?: unknown }>);
  return (values) => {
    const read: Record<string, unknown> = {};
    const repeated: FieldError[] = [];
    for (const [name, property] of properties) {
      const value = values[name];
      if (Array.isArray(value)) repeated.push({ field: name, message: 'must be given once' });
      else if (typeof value === 'string') read[name] = coerce(value, property);
      else if (property.default !== undefined) read[name] = property.default;
    }
    if (repeated.length === 0 && validator.Check(read)) return read;
    const errors = [...repeated, ...fieldErrors(validator.Errors(read) as unknown as Fault[])];
    throw badRequest(errors.length === 1 ? 'A parameter has a fault' : 'The parameters have faults', errors);
  };
}

/** Makes a check of request headers; one that is absent is right. */
export function headerValidator(specs: Record<string, HeaderSpec>): (headers: IncomingHttpHeaders) => void {
  const checks = Object.entries(specs).map(
    ([name, { minLength = 0, maxLength = Number.POSITIVE_INFINITY, pattern }]) => ({
      name,
      minLength,
      maxLength,
      pattern: pattern === undefined ? undefined : new RegExp(pattern, 'u'),
    }),
  );
  return (headers) => {
    for (const { name, minLength, maxLength, pattern } of checks) {
      const value = headers[name];
      if (typeof value !== 'string') continue;
      const length = value.length;
      if (length > maxLength) throw headerFault(name, `must have at most ${maxLength} characters`);
      if (length < minLength) throw headerFault(name, `must have at least ${minLength} characters`);
      if (pattern?.test(value) === false) throw headerFault(name, `must match ${pattern.source}`);
    }
  };
}

const headerFault = (field: string, message: string) => badRequest('A header has a fault', [{ field, message }]);
