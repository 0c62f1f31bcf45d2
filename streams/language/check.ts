import type { ReceivedEvent } from '#platform/contract';
import { parseDuration } from '#platform/declarations';
import { ExpressionFault, eventExpression, rowExpression } from './expression.ts';
import type { Expression, Row } from './expression.ts';
import { compileMessage } from './message.ts';
import { StreamQuerySchema, defaults } from './schema.ts';
import type { SelectedSpec, StreamQueryFile, WindowDeclaration } from './schema.ts';
import type { ShapeFault } from './shape.ts';
import type { Path, SourceLines } from './source-lines.ts';
import type { AlertRule, Aggregate, StreamQuery } from './stream-query.ts';
import { suggestion } from './suggest.ts';
import { refusalOf } from './topics.ts';
import type { QueryTopics } from './topics.ts';

type Compiled = Pick<StreamQuery, 'where' | 'keyBy' | 'timestamp' | 'select' | 'having' | 'alert'>;

const kinds = ['count', 'sum', 'min', 'max', 'avg', 'distinct', 'value'] as const;
const reserved = new Set(['key', 'window', 'threshold', 'data', 'event']);
const aText = 'a text; string(...) makes one';
const numbers = ['int', 'uint', 'double', 'dyn'];
const knownMembers = Object.keys(StreamQuerySchema.properties.spec.properties);
/** the longest duration: its sum with a time is still a valid time */
const longestMs = 36_500 * 86_400_000;
const defaultScale = 6;
const defaultExactUpTo = 1_000;

/** The input of a check. */
export interface CheckedFile {
  /** the document without the parts that do not fit the schema: any part can be missing */
  file: StreamQueryFile;
  /** the whole document */
  raw: unknown;
  lines: SourceLines;
  /** the parts that do not fit the schema */
  shape: readonly ShapeFault[];
  /** the topics of the services, if they are known */
  topics: QueryTopics | undefined;
}

/** Checks what a schema cannot express, compiles the expressions, and collects every fault with its line. */
export class QueryChecker {
  readonly faults: { line: number; message: string }[] = [];
  readonly #spec: Partial<StreamQueryFile['spec']>;
  /** the members of the spec in the file, whether they fit the schema or not */
  readonly #declared: ReadonlySet<string>;
  readonly #lines: SourceLines;
  readonly #shape: readonly string[];
  readonly #topics: QueryTopics | undefined;

  constructor({ file, raw, lines, shape, topics }: CheckedFile) {
    const spec = (raw as { spec?: unknown } | null)?.spec;
    this.#spec = (file as Partial<StreamQueryFile> | null)?.spec ?? {};
    this.#declared = new Set(typeof spec === 'object' && spec !== null ? Object.keys(spec) : knownMembers);
    this.#lines = lines;
    this.#shape = shape.map(({ path }) => path.join('/'));
    this.#topics = topics;
  }

  /** The compiled expressions; valid only if there are no faults. */
  compile(): Compiled {
    const { where, keyBy, timestamp } = this.#spec;
    this.#checkTopics();
    this.#checkWindow();
    this.#checkEmission();
    const select = this.#aggregates();
    return {
      where: this.#event(where, ['spec', 'where'], ['bool', 'dyn'], 'true or false'),
      keyBy: this.#event(keyBy, ['spec', 'keyBy'], ['string', 'dyn'], aText),
      timestamp: this.#event(timestamp, ['spec', 'timestamp'], ['google.protobuf.Timestamp', 'dyn'], 'a timestamp'),
      select,
      having: this.#having(select),
      alert: this.#alert(select),
    };
  }

  /** Adds a fault, unless it only follows from a fault of the schema at the same location. */
  #fault(path: Path, message: string): void {
    const location = path.join('/');
    const hasFault = this.#shape.some((other) => isWithin(other, location) || isWithin(location, other));
    if (!hasFault) this.faults.push({ line: this.#lines.lineOf(path), message: `${path.join('.')}: ${message}` });
  }

  #checkTopics(): void {
    const { from = [], emit } = this.#spec;
    const known = (topic: string, path: Path) => {
      if (!this.#topics || this.#topics.known.has(topic)) return;
      this.#fault(path, `no service declares the topic ${topic}${suggestion(topic, [...this.#topics.known])}`);
    };
    for (const [i, source] of from.entries()) {
      if (source?.topic === undefined) continue;
      const { topic } = source;
      known(topic, ['spec', 'from', i, 'topic']);
      if (from.findIndex((other) => other?.topic === topic) < i) {
        this.#fault(['spec', 'from', i, 'topic'], `${topic} is there twice; list its types once`);
      }
    }
    if (emit?.to === undefined) return;
    const path = ['spec', 'emit', 'to'];
    const refusal = this.#topics && refusalOf(emit.to, this.#topics);
    if (refusal === undefined) known(emit.to, path);
    else this.#fault(path, refusal);
  }

  #checkWindow(): void {
    const { window } = this.#spec;
    if (!window || this.#isShapeFault('spec/window')) return;
    const path = ['spec', 'window'];
    const given = [window.tumbling, window.hopping?.size, window.session].filter((size) => size !== undefined);
    if (given.length !== 1) {
      this.#fault(path, 'either tumbling, hopping or session, exactly one');
      return;
    }
    const size = parseDuration(given[0]!);
    if (size === 0) this.#fault(path, `a ${window.session ? 'session needs a gap' : 'window needs a size'} above 0`);
    const { grace = defaults.grace, retention = defaults.retention } = window;
    if (Math.max(size, parseDuration(grace), parseDuration(retention)) > longestMs) {
      this.#fault(path, 'no duration may be longer than 36500d');
    }
    this.#checkRetention(window);
    if (!window.hopping) return;
    const advance = parseDuration(window.hopping.advance);
    if (advance === 0 || advance > size)
      this.#fault([...path, 'hopping'], 'advance must be above 0 and at most the size');
    else if (size / advance > 1000) this.#fault([...path, 'hopping'], 'an event would be in more than 1000 windows');
  }

  #isShapeFault(location: string): boolean {
    return this.#shape.some((other) => isWithin(other, location));
  }

  /** A window that is deleted while it still takes events would start again from zero. */
  #checkRetention({ grace = defaults.grace, retention = defaults.retention, session }: WindowDeclaration): void {
    const open = parseDuration(grace) + (session === undefined ? 0 : parseDuration(session));
    if (parseDuration(retention) >= open) return;
    const least = session === undefined ? 'grace' : 'session and grace together';
    this.#fault(['spec', 'window', 'retention'], `must be at least ${least}: until then a window takes events`);
  }

  /** Whether the spec has a member; undefined if it has one with an unknown name, which can be a misspelling. */
  #has(member: string): boolean | undefined {
    if (this.#declared.has(member)) return true;
    return [...this.#declared].every((name) => knownMembers.includes(name)) ? false : undefined;
  }

  #checkEmission(): void {
    const { emit, alert } = this.#spec;
    const [windowed, emits] = [this.#has('window'), this.#has('emit')];
    if (alert && emits === false) this.#fault(['spec', 'alert'], 'emit.to must say the topic of the alerts');
    if (windowed === false && emits === false) {
      this.#fault(['spec'], 'without a window and without emit, nothing would come of the query');
    }
    if (windowed === false && emit?.on === 'close') this.#fault(['spec', 'emit', 'on'], 'only a window can close');
    if (emit?.every === undefined) return;
    const path = ['spec', 'emit', 'every'];
    if (emit.on === 'close') this.#fault(path, 'a window closes once; every is for on: change');
    else if (windowed === false) this.#fault(path, 'only changes of a window are held back');
    else if (alert) this.#fault(path, 'an alert is raised at once, and once');
  }

  #aggregates(): Aggregate[] {
    const { select = [] } = this.#spec;
    return select.map((selected: SelectedSpec | undefined, i) => {
      const { name = '', ...given }: Partial<SelectedSpec> = selected ?? {};
      const path = ['spec', 'select', i];
      const present = kinds.filter((each) => given[each] !== undefined);
      if (name !== '' && select.findIndex((other) => other?.name === name) < i) {
        this.#fault([...path, 'name'], 'is there twice');
      }
      if (reserved.has(name)) this.#fault([...path, 'name'], `${name} has another meaning here`);
      if (present.length !== 1) this.#fault(path, `exactly one of ${kinds.join(', ')}`);
      else this.#checkKind(given, present[0]!, path);
      const expressions = present.map((kind) =>
        kind === 'count' ? undefined : this.#aggregate(given[kind], kind, path),
      );
      const kind = present.length === 1 ? present[0]! : 'value';
      const exactUpTo = kind === 'distinct' ? (given.exactUpTo ?? defaultExactUpTo) : 0;
      return { name, kind, of: expressions[0], scale: given.scale ?? defaultScale, exactUpTo };
    });
  }

  #aggregate(source: string | undefined, kind: Aggregate['kind'], of: Path): Expression<ReceivedEvent> | undefined {
    const path = [...of, kind];
    if (kind === 'distinct') return this.#event(source, path, ['string', 'dyn'], aText);
    return this.#event(source, path, kind === 'value' ? [...numbers, 'string'] : numbers, 'a number');
  }

  #checkKind(selected: Partial<SelectedSpec>, kind: (typeof kinds)[number], path: Path): void {
    const windowed = this.#has('window');
    if (windowed && kind === 'value')
      this.#fault([...path, kind], 'a window needs count, sum, min, max, avg or distinct');
    if (windowed === false && kind !== 'value') this.#fault([...path, kind], 'without a window there is only value');
    if (selected.count === false) this.#fault([...path, 'count'], 'is true or left out');
    if (selected.scale !== undefined && kind !== 'avg') this.#fault([...path, 'scale'], 'is for avg; others are exact');
    if (selected.exactUpTo !== undefined && kind !== 'distinct') {
      this.#fault([...path, 'exactUpTo'], 'is for distinct; others are exact');
    }
  }

  #having(select: readonly Aggregate[]): Expression<Row> | undefined {
    const source = this.#spec.having;
    if (source === undefined || this.#lacksNames(select)) return undefined;
    const named = select.filter(({ name }) => !reserved.has(name)); // the others have a fault already
    const types = named.map(({ name, kind, of }) => [name, aggregateType(kind, of?.type)] as const);
    const path = ['spec', 'having'];
    const compile = () => rowExpression(source, Object.fromEntries(types), this.#spec.alert?.threshold);
    return this.#checked(compile, path, ['bool', 'dyn'], 'true or false', [
      ...named.map(({ name }) => name),
      'key',
      'window',
    ]);
  }

  /** Whether an aggregate has no valid name: references to it cannot be checked. */
  #lacksNames(select: readonly Aggregate[]): boolean {
    return (
      select.some(({ name }) => name === '') ||
      this.#isShapeFault('spec/alert/threshold') ||
      (select.length === 0 && this.#isShapeFault('spec/select'))
    );
  }

  #alert(select: readonly Aggregate[]): AlertRule | undefined {
    const { alert } = this.#spec;
    if (alert?.message === undefined || this.#lacksNames(select)) return undefined;
    const names = select.map(({ name }) => name);
    try {
      const message = compileMessage(alert.message, names, alert.threshold);
      return { severity: alert.severity, message, threshold: alert.threshold };
    } catch (error) {
      this.#fault(['spec', 'alert', 'message'], (error as Error).message);
      return undefined;
    }
  }

  #event(
    source: string | undefined,
    path: Path,
    types: string[],
    wanted: string,
  ): Expression<ReceivedEvent> | undefined {
    return source === undefined ? undefined : this.#checked(() => eventExpression(source), path, types, wanted);
  }

  #checked<Scope>(
    compile: () => Expression<Scope>,
    path: Path,
    types: string[],
    wanted: string,
    names = ['data', 'event'],
  ): Expression<Scope> | undefined {
    try {
      const expression = compile();
      if (!types.includes(expression.type)) this.#fault(path, `must be ${wanted}, is ${expression.type}`);
      return expression;
    } catch (error) {
      if (!(error instanceof ExpressionFault)) throw error;
      const unknown = /^Unknown variable: (\w+)$/.exec(error.message)?.[1];
      const hint = unknown === undefined ? '' : suggestion(unknown, names);
      const message = `${path.join('.')}: ${error.message} (character ${error.offset + 1})${hint}`;
      this.faults.push({ line: this.#lines.lineInText(path, error.offset), message });
      return undefined;
    }
  }
}

/** Whether a location is another one or below it. */
function isWithin(location: string, other: string): boolean {
  return location === other || location.startsWith(`${other}/`) || other === '';
}

function aggregateType(kind: Aggregate['kind'], type: string | undefined): 'int' | 'double' | 'dyn' {
  if (kind === 'count' || kind === 'distinct') return 'int';
  return kind === 'value' && type !== 'double' ? 'dyn' : 'double';
}
