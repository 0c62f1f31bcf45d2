import { Environment, EvaluationError, ParseError, TypeError as CelTypeError } from '@marcbachmann/cel-js';
import type { ASTNode, Context } from '@marcbachmann/cel-js';
import { StreamsError } from '#streams/errors';
import type { ReceivedEvent } from '#platform/contract';
import { registerMixed, useDecimals } from './arithmetic.ts';
import { shortcut } from './fast.ts';
import type { Roots, Shortcut } from './fast.ts';
import { registerMatches, useLinearMatches, withKnownNames } from './matches.ts';

/** A CEL expression that is parsed and checked. */
export interface Expression<Scope> {
  source: string;
  /** CEL's name of the result type; `dyn` if it depends on the data */
  type: string;
  ast: ASTNode;
  /** @throws ExpressionError if there is no result for this scope, for example because a member is missing */
  evaluate(scope: Scope): unknown;
}

/** The aggregates of a window, or the values of a single event, by name: the input of `having` and of messages. */
export interface Row {
  key: string;
  /** milliseconds since 1970; null without a window */
  windowStart: number | null;
  windowEnd: number | null;
  /** the selected values; a text if no number has exactly this value */
  values: Record<string, number | string>;
  /** the names of the values that are estimates; default: none */
  estimates?: readonly string[];
}

/** An expression that is not valid, or has the wrong type; `offset` counts characters of its source. */
export class ExpressionFault extends StreamsError {
  override name = 'ExpressionFault';
  readonly offset: number;

  constructor(message: string, offset: number) {
    super('ERR_QUERY_EXPRESSION', message);
    this.offset = offset;
  }
}

/** Thrown for an expression without a result for this event. */
export class ExpressionError extends StreamsError {
  override name = 'ExpressionError';

  constructor(message: string) {
    super('ERR_QUERY_EXPRESSION_RESULT', message);
  }
}

const createEnvironment = () =>
  registerMixed(
    registerMatches(new Environment({ unlistedVariablesAreDyn: false, homogeneousAggregateLiterals: false })),
  );

const eventEnvironment = createEnvironment()
  .registerVariable('data', 'dyn')
  .registerVariable({
    name: 'event',
    schema: {
      id: 'string',
      type: 'string',
      source: 'string',
      subject: 'string',
      topic: 'string',
      key: 'string',
      time: 'google.protobuf.Timestamp',
    },
  });

const eventRoot: Record<string, Shortcut<ReceivedEvent>> = {
  data: (event) => event.data ?? undefined,
  'event.id': (event) => event.id,
  'event.type': (event) => event.type,
  'event.source': (event) => event.source,
  'event.subject': (event) => event.subject,
  'event.topic': (event) => event.topic,
  'event.time': (event) => new Date(event.time),
};

const eventRoots: Roots<ReceivedEvent> = (name) => (Object.hasOwn(eventRoot, name) ? eventRoot[name] : undefined);

function eventContext(event: ReceivedEvent): Context {
  const { id, type, source, subject, topic, key, time } = event;
  return { data: event.data, event: { id, type, source, subject, topic, key: key ?? '', time: new Date(time) } };
}

/** Compiles an expression over an event: `data` and `event.id`, `type`, `source`, `subject`, `topic`, `key`, `time`. */
export function eventExpression(source: string): Expression<ReceivedEvent> {
  return compile(source, eventEnvironment, eventRoots, eventContext);
}

/**
 * Compiles an expression over a row: `key`, `window.start`, `window.end`, the aggregates by name and, if given, `threshold`.
 * @param aggregates CEL's type of each aggregate by its name
 */
export function rowExpression(
  source: string,
  aggregates: Record<string, 'int' | 'double' | 'dyn'>,
  threshold?: number,
): Expression<Row> {
  const environment = createEnvironment()
    .registerVariable('key', 'string')
    .registerVariable({
      name: 'window',
      schema: { start: 'google.protobuf.Timestamp', end: 'google.protobuf.Timestamp' },
    });
  if (threshold !== undefined) environment.registerVariable('threshold', 'double');
  for (const [name, type] of Object.entries(aggregates)) environment.registerVariable(name, type);

  const roots: Roots<Row> = (name) => {
    if (name === 'key') return (row) => row.key;
    if (name === 'threshold') return () => threshold;
    if (!Object.hasOwn(aggregates, name)) return undefined;
    return (row) => row.values[name];
  };
  const context = (row: Row): Context => {
    const values = Object.entries(row.values).map(([name, value]) => [name, celValue(value, aggregates[name])]);
    const window = { start: new Date(row.windowStart ?? 0), end: new Date(row.windowEnd ?? 0) };
    return { key: row.key, threshold, window, ...Object.fromEntries(values) };
  };
  return compile(source, environment, roots, context);
}

function celValue(value: number | string, type: string | undefined): unknown {
  if (type === 'int') return BigInt(value);
  return type === 'double' ? Number(value) : value;
}

function compile<Scope>(
  source: string,
  environment: Environment,
  roots: Roots<Scope>,
  context: (scope: Scope) => Context,
): Expression<Scope> {
  let parsed: ReturnType<Environment['parse']>;
  try {
    parsed = environment.parse(source);
  } catch (error) {
    if (error instanceof ParseError || error instanceof CelTypeError) throw faultOf(error);
    throw error;
  }
  const pattern = useLinearMatches(parsed.ast);
  if (pattern) throw new ExpressionFault(pattern.message, pattern.offset);
  const checked = parsed.check();
  if (!checked.valid) throw faultOf(checked.error!);
  useDecimals(parsed.ast);
  const quick = shortcut(parsed.ast, roots);
  return {
    source,
    type: checked.type ?? 'dyn',
    ast: parsed.ast,
    evaluate(scope) {
      const value = quick?.(scope);
      if (value !== undefined) return value;
      try {
        return parsed(context(scope)) as unknown;
      } catch (error) {
        if (error instanceof EvaluationError || error instanceof CelTypeError) {
          throw new ExpressionError(`${source}: ${withKnownNames(error.summary)}`);
        }
        if (error instanceof RangeError) throw new ExpressionError(`${source}: the data is nested too deeply`);
        throw error;
      }
    },
  };
}

function faultOf(error: ParseError | CelTypeError): ExpressionFault {
  return new ExpressionFault(withKnownNames(error.summary), error.range?.start ?? 0);
}
