import { styleText } from 'node:util';

type Colour = Parameters<typeof styleText>[0];

const COLOURS: Colour[] = ['cyan', 'green', 'magenta', 'blue', 'yellow', 'greenBright', 'cyanBright'];
const LEVELS: Record<string, Colour> = {
  warn: 'yellow',
  error: 'red',
  fatal: ['bold', 'red'],
  debug: 'gray',
  trace: 'gray',
};
/** Fields that the line already shows, or that only machines use. */
const HIDDEN = new Set([
  'level',
  'time',
  'pid',
  'hostname',
  'service',
  'msg',
  'err',
  'trace_id',
  'span_id',
  'trace_flags',
]);
const LONGEST_VALUE = 160;

/** The format of lines. */
export interface LogStyle {
  colour: boolean;
  /** Names in the order of their colours; the longest sets the width of the column. */
  names: string[];
}

/** Characters that a terminal obeys, and those that turn the direction of a text: what is logged can come from a client. */
// eslint-disable-next-line no-control-regex
const control = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\p{Bidi_Control}]/gu;

/** A text in which such characters are seen and not obeyed. */
function visible(text: string): string {
  return text.replace(control, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/**
 * One line of a child's output, readable: a JSON line of pino as time, service, level, message and fields, with
 * the stack of an error below it; any other line after its service.
 */
export function formatLine(source: string, line: string, style: LogStyle): string {
  const record = parseRecord(line);
  const name = column(source, style);
  if (record === undefined) return `${' '.repeat(12)} ${name} ${visible(line.replace(/\r$/, ''))}`;
  const level = typeof record['level'] === 'string' ? record['level'] : 'info';
  const time = typeof record['time'] === 'string' ? record['time'].slice(11, 23) : ' '.repeat(12);
  const fields = Object.entries(record)
    .filter(([key, value]) => !HIDDEN.has(key) && value !== undefined && value !== null)
    .map(([key, value]) => `${key}=${shortText(value)}`);
  const serious = level !== 'info' && level !== 'debug' && level !== 'trace';
  if (serious && typeof record['trace_id'] === 'string') fields.push(`trace=${record['trace_id']}`);
  const message = typeof record['msg'] === 'string' ? record['msg'].replaceAll('\n', '\n    ') : '';
  const head = [
    paint(time, 'gray', style),
    name,
    paint(level.toUpperCase().padEnd(5), LEVELS[level], style),
    paint(message, serious ? LEVELS[level] : undefined, style),
    paint(fields.join(' '), 'gray', style),
  ];
  return [head.filter((part) => part !== '').join(' '), ...errorLines(record['err'])].join('\n');
}

/** A line of the runner, in the form of the services' lines. */
export function formatOwnLine(level: string, message: string, style: LogStyle): string {
  return formatLine('millrace', JSON.stringify({ level, time: new Date().toISOString(), msg: message }), style);
}

function parseRecord(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function column(source: string, style: LogStyle): string {
  const width = Math.max(0, ...style.names.map((name) => name.length));
  const index = style.names.indexOf(source);
  return paint(source.padEnd(width), index < 0 ? undefined : COLOURS[index % COLOURS.length], style);
}

function paint(text: string, colour: Colour | undefined, style: LogStyle): string {
  const shown = visible(text);
  return style.colour && colour !== undefined && text !== ''
    ? styleText(colour, shown, { validateStream: false })
    : shown;
}

function shortText(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
  const short = text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}...` : text;
  return /[\s"]/.test(short) && typeof value === 'string' ? JSON.stringify(short) : short;
}

/** pino's form of an error: its stack, which begins with its message, and its code, indented; causes are part of it. */
function errorLines(error: unknown): string[] {
  if (typeof error !== 'object' || error === null) return [];
  const { stack, code } = error as { stack?: unknown; code?: unknown };
  if (typeof stack !== 'string') return [`    ${visible(JSON.stringify(error))}`];
  const [first = '', ...rest] = stack.split('\n');
  return [typeof code === 'string' ? `${first} [${code}]` : first, ...rest].map((line) => `    ${visible(line)}`);
}

/** Splits a stream of text into lines; it passes a line longer than `longest` on in pieces, so that memory is bounded. */
export class LineSplitter {
  readonly #emit: (line: string) => void;
  readonly #longest: number;
  #rest = '';

  constructor(emit: (line: string) => void, longest = 64 * 1024) {
    this.#emit = emit;
    this.#longest = longest;
  }

  push(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#emit(line);
    if (this.#rest.length > this.#longest) this.end();
  }

  /** Passes the rest on. */
  end(): void {
    if (this.#rest !== '') this.#emit(this.#rest);
    this.#rest = '';
  }
}
