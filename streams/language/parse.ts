import { createHash } from 'node:crypto';
import { parseDuration } from '#platform/declarations';
import { QueryChecker } from './check.ts';
import { defaults } from './schema.ts';
import type { StreamQueryFile, WindowDeclaration } from './schema.ts';
import { shapeFaults, withoutFaults } from './shape.ts';
import { SourceLines } from './source-lines.ts';
import type { Fault } from './source-lines.ts';
import type { StreamQuery, WindowSpec } from './stream-query.ts';
import type { QueryTopics } from './topics.ts';

export type Parsed = {
  /** undefined if there are faults */
  query: StreamQuery | undefined;
  faults: Fault[];
  /** the name in the file and its line, if it can be read */
  name: { text: string; line: number } | undefined;
};

/**
 * Reads a stream query from its YAML and compiles its expressions. It reports all faults at once: it leaves the parts that do
 * not fit the schema out of the further checks.
 * @param topics those of the services, if they have to be checked
 */
export function parseQuery(file: string, text: string, topics?: QueryTopics): Parsed {
  const source = new SourceLines(text);
  const at = (line: number, message: string): Fault => ({ file, line, message });
  const faults = source.faults.map(({ line, message }) => at(line, message));
  if (source.value === undefined) return { query: undefined, faults, name: undefined };
  const shape = shapeFaults(source.value);
  faults.push(...shape.map(({ path, message }) => at(source.lineOf(path), message)));
  const declared = withoutFaults(source.value, shape) as StreamQueryFile;
  const checker = new QueryChecker({ file: declared, raw: source.value, lines: source, shape, topics });
  const compiled = checker.compile();
  faults.push(...checker.faults.map(({ line, message }) => at(line, message)));
  const nameText = (declared as Partial<StreamQueryFile> | null)?.metadata?.name;
  const name = nameText === undefined ? undefined : { text: nameText, line: source.lineOf(['metadata', 'name']) };
  if (faults.length > 0) return { query: undefined, faults: faults.toSorted((a, b) => a.line - b.line), name };
  const { spec } = declared;
  const window = spec.window && windowOf(spec.window);
  return {
    faults: [],
    name,
    query: {
      name: declared.metadata.name,
      from: spec.from.map(({ topic, types }) => ({ topic, types })),
      ...compiled,
      window,
      windowText: windowText(spec.window),
      definition: text,
      emit: spec.emit && {
        to: spec.emit.to,
        on: spec.emit.on ?? 'change',
        everyMs: parseDuration(spec.emit.every ?? '1s'),
      },
      fingerprint: fingerprint(spec, window),
    },
  };
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

/**
 * A hash of everything that decides the content of stored windows. `having`, `emit`, `alert`, grace and retention only read
 * them. Whether windows close is part of it, because a window closes once or not at all.
 */
function fingerprint(spec: StreamQueryFile['spec'], window: WindowSpec | undefined): string {
  const { from, where, keyBy, timestamp, select, emit } = spec;
  const shape = window && [window.size, window.advance, ...(window.kind === 'session' ? ['session'] : [])];
  const meaning = [from, where, keyBy, timestamp, shape, select, ...(window && emit?.on === 'close' ? ['close'] : [])];
  return createHash('sha256').update(JSON.stringify(meaning)).digest('hex').slice(0, 16);
}
