import { createHash } from 'node:crypto';
import { Compile } from 'typebox/compile';
import * as settings from 'typebox/system';
import { parseDuration } from '#kit/declarations.ts';
import { QueryChecker } from './check.ts';
import { StreamQuerySchema, defaults } from './schema.ts';
import type { StreamQueryFile, WindowDeclaration } from './schema.ts';
import { SourceLines } from './source-lines.ts';
import type { Fault, Path } from './source-lines.ts';
import type { StreamQuery, WindowSpec } from './stream-query.ts';

export type Parsed = { query: StreamQuery; faults: [] } | { query: undefined; faults: Fault[] };

/**
 * Reads a stream query from its YAML and compiles its expressions. Everything that is wrong is reported at once.
 * @param topics the declared topics, where they are known
 */
export function parseQuery(file: string, text: string, topics?: ReadonlySet<string>): Parsed {
  const source = new SourceLines(text);
  const fail = (faults: { line: number; message: string }[]): Parsed => ({
    query: undefined,
    faults: faults.map((fault) => ({ file, ...fault })).toSorted((a, b) => a.line - b.line),
  });
  if (source.faults.length > 0) return fail(source.faults);
  const shape = shapeFaults(source);
  if (shape.length > 0) return fail(shape);
  const declared = source.value as StreamQueryFile;
  const checker = new QueryChecker(declared, source, topics);
  const compiled = checker.compile();
  if (checker.faults.length > 0) return fail(checker.faults);
  const { spec } = declared;
  const window = spec.window && windowOf(spec.window);
  return {
    faults: [],
    query: {
      name: declared.metadata.name,
      from: spec.from.map(({ topic, types }) => ({ topic, types })),
      ...compiled,
      window,
      windowText: windowText(spec.window),
      emit: spec.emit && {
        to: spec.emit.to,
        on: spec.emit.on ?? 'change',
        everyMs: parseDuration(spec.emit.every ?? '1s'),
      },
      fingerprint: fingerprint(spec, window),
    },
  };
}

const validator = Compile(StreamQuerySchema);
const maxErrors = 200;

function shapeFaults(source: SourceLines): { line: number; message: string }[] {
  if (validator.Check(source.value)) return [];
  const before = settings.Settings.Get().maxErrors;
  settings.Settings.Set({ maxErrors });
  try {
    return validator
      .Errors(source.value)
      .filter(({ keyword }) => keyword !== 'additionalProperties') // each such member has a fault of its own
      .map((error) => {
        const path = error.instancePath.split('/').slice(1);
        return { line: source.lineOf(path), message: describe(error, path) };
      });
  } finally {
    settings.Settings.Set({ maxErrors: before });
  }
}

type SchemaError = ReturnType<typeof validator.Errors>[number];

function describe(error: SchemaError, path: Path): string {
  const where = path.length === 0 ? 'the document' : path.join('.');
  const params = error.params as { allowedValue?: unknown; allowedValues?: unknown[]; pattern?: unknown };
  if (error.keyword === 'boolean') return `${where}: there is no such field`;
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

function windowOf({ tumbling, hopping, session, ...window }: WindowDeclaration): WindowSpec {
  const size = parseDuration(tumbling ?? session ?? hopping!.size);
  return {
    kind: hopping ? 'hopping' : session ? 'session' : 'tumbling',
    size,
    advance: hopping ? parseDuration(hopping.advance) : size,
    grace: parseDuration(window.grace ?? defaults.grace),
    retention: parseDuration(window.retention ?? defaults.retention),
  };
}

function windowText(window: WindowDeclaration | undefined): string | null {
  if (!window) return null;
  if (window.hopping) return `hopping ${window.hopping.size} every ${window.hopping.advance}`;
  return window.session ? `session ${window.session}` : `tumbling ${window.tumbling}`;
}

/** What an accumulated window means; `having`, `emit`, `alert`, grace and retention only read it. */
function fingerprint(spec: StreamQueryFile['spec'], window: WindowSpec | undefined): string {
  const { from, where, keyBy, timestamp, select } = spec;
  const shape = window && [window.size, window.advance, ...(window.kind === 'session' ? ['session'] : [])];
  const meaning = [from, where, keyBy, timestamp, shape, select];
  return createHash('sha256').update(JSON.stringify(meaning)).digest('hex').slice(0, 16);
}
