import type { ReceivedEvent } from '#contracts/cloudevents.ts';
import { parseDuration } from '#kit/declarations.ts';
import { ExpressionFault, eventExpression, rowExpression } from './expression.ts';
import type { Expression, Row } from './expression.ts';
import { compileMessage } from './message.ts';
import { defaults } from './schema.ts';
import type { SelectedSpec, StreamQueryFile, WindowDeclaration } from './schema.ts';
import type { Path, SourceLines } from './source-lines.ts';
import type { AlertRule, Figure, StreamQuery } from './stream-query.ts';

type Compiled = Pick<StreamQuery, 'where' | 'keyBy' | 'timestamp' | 'select' | 'having' | 'alert'>;

const kinds = ['count', 'sum', 'min', 'max', 'avg', 'distinct', 'value'] as const;
const reserved = new Set(['key', 'window', 'threshold', 'data', 'event']);
const aText = 'a text; string(...) makes one';
const numbers = ['int', 'uint', 'double', 'dyn'];
const defaultScale = 6;
const defaultExactUpTo = 1_000;

/** Checks what a schema cannot say, compiles the expressions, and collects every fault with its line. */
export class QueryChecker {
  readonly faults: { line: number; message: string }[] = [];
  readonly #spec: StreamQueryFile['spec'];
  readonly #lines: SourceLines;
  readonly #topics: ReadonlySet<string> | undefined;

  constructor(file: StreamQueryFile, lines: SourceLines, topics: ReadonlySet<string> | undefined) {
    this.#spec = file.spec;
    this.#lines = lines;
    this.#topics = topics;
  }

  /** The compiled expressions; of use only if there are no faults. */
  compile(): Compiled {
    const { where, keyBy, timestamp } = this.#spec;
    this.#checkTopics();
    this.#checkWindow();
    this.#checkEmission();
    const select = this.#figures();
    return {
      where: this.#event(where, ['spec', 'where'], ['bool', 'dyn'], 'true or false'),
      keyBy: this.#event(keyBy, ['spec', 'keyBy'], ['string', 'dyn'], aText),
      timestamp: this.#event(timestamp, ['spec', 'timestamp'], ['google.protobuf.Timestamp', 'dyn'], 'a timestamp'),
      select,
      having: this.#having(select),
      alert: this.#alert(select),
    };
  }

  #fault(path: Path, message: string): void {
    this.faults.push({ line: this.#lines.lineOf(path), message: `${path.join('.')}: ${message}` });
  }

  #checkTopics(): void {
    const { from, emit } = this.#spec;
    const known = (topic: string, path: Path) => {
      if (this.#topics && !this.#topics.has(topic)) this.#fault(path, `no service declares the topic ${topic}`);
    };
    from.forEach(({ topic }, i) => {
      known(topic, ['spec', 'from', i, 'topic']);
      if (from.findIndex((other) => other.topic === topic) < i) {
        this.#fault(['spec', 'from', i, 'topic'], `${topic} is there twice; list its types once`);
      }
    });
    if (emit) known(emit.to, ['spec', 'emit', 'to']);
  }

  #checkWindow(): void {
    const { window } = this.#spec;
    if (!window) return;
    const path = ['spec', 'window'];
    const given = [window.tumbling, window.hopping?.size, window.session].filter((size) => size !== undefined);
    if (given.length !== 1) {
      this.#fault(path, 'either tumbling, hopping or session, exactly one');
      return;
    }
    const size = parseDuration(given[0]!);
    if (size === 0) this.#fault(path, `a ${window.session ? 'session needs a gap' : 'window needs a size'} above 0`);
    this.#checkRetention(window);
    if (!window.hopping) return;
    const advance = parseDuration(window.hopping.advance);
    if (advance === 0 || advance > size)
      this.#fault([...path, 'hopping'], 'advance must be above 0 and at most the size');
    else if (size / advance > 1000) this.#fault([...path, 'hopping'], 'an event would be in more than 1000 windows');
  }

  /** What is deleted while it still takes events would begin anew. */
  #checkRetention({ grace = defaults.grace, retention = defaults.retention, session }: WindowDeclaration): void {
    const open = parseDuration(grace) + (session === undefined ? 0 : parseDuration(session));
    if (parseDuration(retention) >= open) return;
    const least = session === undefined ? 'grace' : 'session and grace together';
    this.#fault(['spec', 'window', 'retention'], `must be at least ${least}: until then a window takes events`);
  }

  #checkEmission(): void {
    const { window, emit, alert } = this.#spec;
    if (alert && !emit) this.#fault(['spec', 'alert'], 'emit.to must say the topic of the alerts');
    if (!window && !emit) this.#fault(['spec'], 'without a window and without emit, nothing would come of the query');
    if (!window && emit?.on === 'close') this.#fault(['spec', 'emit', 'on'], 'only a window can close');
    if (emit?.every === undefined) return;
    const path = ['spec', 'emit', 'every'];
    if (emit.on === 'close') this.#fault(path, 'a window closes once; every is for on: change');
    else if (!window) this.#fault(path, 'only changes of a window are held back');
    else if (alert) this.#fault(path, 'an alert is raised at once, and once');
  }

  #figures(): Figure[] {
    const { select = [], window } = this.#spec;
    return select.map((selected, i) => {
      const path = ['spec', 'select', i];
      const given = kinds.filter((kind) => selected[kind] !== undefined);
      const kind = given[0];
      if (select.findIndex(({ name }) => name === selected.name) < i) this.#fault([...path, 'name'], 'is there twice');
      if (reserved.has(selected.name)) this.#fault([...path, 'name'], `${selected.name} has another meaning here`);
      if (kind === undefined || given.length > 1) {
        this.#fault(path, `exactly one of ${kinds.join(', ')}`);
        return { name: selected.name, kind: 'value', of: undefined, scale: 0, exactUpTo: 0 };
      }
      this.#checkKind(selected, kind, path, window !== undefined);
      const of = kind === 'count' ? undefined : this.#figure(selected[kind], kind, [...path, kind]);
      const exactUpTo = kind === 'distinct' ? (selected.exactUpTo ?? defaultExactUpTo) : 0;
      return { name: selected.name, kind, of, scale: selected.scale ?? defaultScale, exactUpTo };
    });
  }

  #figure(source: string | undefined, kind: Figure['kind'], path: Path): Expression<ReceivedEvent> | undefined {
    if (kind === 'distinct') return this.#event(source, path, ['string', 'dyn'], aText);
    return this.#event(source, path, kind === 'value' ? [...numbers, 'string'] : numbers, 'a number');
  }

  #checkKind(selected: SelectedSpec, kind: (typeof kinds)[number], path: Path, windowed: boolean): void {
    if (windowed && kind === 'value')
      this.#fault([...path, kind], 'a window needs count, sum, min, max, avg or distinct');
    if (!windowed && kind !== 'value') this.#fault([...path, kind], 'without a window there is only value');
    if (selected.count === false) this.#fault([...path, 'count'], 'is true or left out');
    if (selected.scale !== undefined && kind !== 'avg') this.#fault([...path, 'scale'], 'is for avg; others are exact');
    if (selected.exactUpTo !== undefined && kind !== 'distinct') {
      this.#fault([...path, 'exactUpTo'], 'is for distinct; others are exact');
    }
  }

  #having(select: readonly Figure[]): Expression<Row> | undefined {
    const source = this.#spec.having;
    if (source === undefined) return undefined;
    const named = select.filter(({ name }) => !reserved.has(name)); // the others have a fault already
    const types = named.map(({ name, kind, of }) => [name, figureType(kind, of?.type)] as const);
    const path = ['spec', 'having'];
    const compile = () => rowExpression(source, Object.fromEntries(types), this.#spec.alert?.threshold);
    return this.#checked(compile, path, ['bool', 'dyn'], 'true or false');
  }

  #alert(select: readonly Figure[]): AlertRule | undefined {
    const { alert } = this.#spec;
    if (!alert) return undefined;
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
  ): Expression<Scope> | undefined {
    try {
      const expression = compile();
      if (!types.includes(expression.type)) this.#fault(path, `must be ${wanted}, is ${expression.type}`);
      return expression;
    } catch (error) {
      if (!(error instanceof ExpressionFault)) throw error;
      const message = `${path.join('.')}: ${error.message} (character ${error.offset + 1})`;
      this.faults.push({ line: this.#lines.lineInText(path, error.offset), message });
      return undefined;
    }
  }
}

function figureType(kind: Figure['kind'], type: string | undefined): 'int' | 'double' | 'dyn' {
  if (kind === 'count' || kind === 'distinct') return 'int';
  return kind === 'value' && type !== 'double' ? 'dyn' : 'double';
}
