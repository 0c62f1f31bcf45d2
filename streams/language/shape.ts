import { Compile } from 'typebox/compile';
import * as settings from 'typebox/system';
import { StreamQuerySchema } from './schema.ts';
import type { Path } from './source-lines.ts';
import { suggestion } from './suggest.ts';

/** Something that the schema does not allow. */
export interface ShapeFault {
  path: Path;
  message: string;
}

const validator = Compile(StreamQuerySchema);
const maxErrors = 200;

/** The parts of a document that do not fit the schema. */
export function shapeFaults(value: unknown): ShapeFault[] {
  if (validator.Check(value)) return [];
  const before = settings.Settings.Get().maxErrors;
  settings.Settings.Set({ maxErrors });
  try {
    return validator
      .Errors(value)
      .filter(({ keyword }) => keyword !== 'additionalProperties') // each additional member has a fault of its own
      .map((error) => {
        const path = error.instancePath.split('/').slice(1).map(unescaped);
        return { path, message: describe(error, path) };
      });
  } finally {
    settings.Settings.Set({ maxErrors: before });
  }
}

/** A step of a JSON pointer. */
function unescaped(step: string): string {
  return step.replaceAll('~1', '/').replaceAll('~0', '~');
}

type SchemaError = ReturnType<typeof validator.Errors>[number];

function describe(error: SchemaError, path: Path): string {
  const where = path.length === 0 ? 'the document' : path.join('.');
  const params = error.params as { allowedValue?: unknown; allowedValues?: unknown[]; pattern?: unknown };
  if (error.keyword === 'boolean') {
    const known = membersOf(StreamQuerySchema as SchemaNode, path.slice(0, -1));
    return `${where}: there is no such field${suggestion(String(path.at(-1)), known)}`;
  }
  if (error.keyword === 'const') return `${where} must be ${String(params.allowedValue)}`;
  if (error.keyword === 'enum') return `${where} must be one of ${(params.allowedValues ?? []).join(', ')}`;
  if (error.keyword === 'pattern') return `${where} must be ${patternHelp(path)}`;
  return `${where} ${error.message}`;
}

function patternHelp(path: Path): string {
  if (path.join('.') === 'metadata.name') return 'lower-case letters, digits and hyphens';
  if (path.at(-1) === 'name') return 'a letter, then letters, digits and _';
  return 'a duration: a whole number with ms, s, m, h or d';
}

interface SchemaNode {
  properties?: Record<string, object>;
  items?: object;
}

/** The fields of the schema at a path. */
function membersOf(schema: SchemaNode, path: Path): string[] {
  const [step, ...rest] = path;
  if (step === undefined) return Object.keys(schema.properties ?? {});
  const next = (schema.items ?? schema.properties?.[step]) as SchemaNode | undefined;
  return next ? membersOf(next, rest) : [];
}

/** The document without the parts that do not fit, so that the rest can be checked. Items of lists keep their index. */
export function withoutFaults(value: unknown, faults: readonly ShapeFault[]): unknown {
  const copy = structuredClone(value);
  for (const { path } of faults) {
    if (path.length === 0) continue; // a member of the root is missing, or the root is not an object
    let holder: unknown = copy;
    for (const step of path.slice(0, -1)) holder = isHolder(holder) ? holder[step] : undefined;
    const step = path.at(-1)!;
    // the fault of a missing member is at the object that lacks it
    if (isHolder(holder) && !isMissing(faults, path)) holder[step] = undefined;
  }
  return copy;
}

function isMissing(faults: readonly ShapeFault[], path: Path): boolean {
  return faults
    .filter((fault) => fault.path.join('/') === path.join('/'))
    .every(({ message }) => message.includes('must have required properties'));
}

function isHolder(value: unknown): value is Record<string | number, unknown> {
  return typeof value === 'object' && value !== null;
}
