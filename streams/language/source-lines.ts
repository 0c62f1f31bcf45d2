import { LineCounter, isCollection, isMap, isScalar, parseDocument } from 'yaml';
import type { Document, ErrorCode, Node, Pair } from 'yaml';

/** A mistake in a file. */
export interface Fault {
  file: string;
  /** from 1 */
  line: number;
  message: string;
}

export type Path = readonly (string | number)[];

/** A YAML document that knows the line of each of its values. */
export class SourceLines {
  /** The faults of the YAML itself, which have no path. If it cannot be read at all, there is no value. */
  readonly faults: { line: number; message: string }[];
  readonly value: unknown;
  readonly #document: Document.Parsed;
  readonly #lines = new LineCounter();

  constructor(text: string) {
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    this.faults = this.#document.errors.map(({ code, message, pos }) => ({
      line: this.#lines.linePos(pos[0]).line,
      message: syntaxMessage(code, message, wordAt(text, pos[0])),
    }));
    // the rest of a document with a repeated key can be read
    const isReadable = this.#document.errors.every(({ code }) => code === 'DUPLICATE_KEY');
    this.value = isReadable ? this.#read() : undefined;
  }

  #read(): unknown {
    try {
      return this.#document.toJS({ maxAliasCount: 10 }) as unknown;
    } catch (error) {
      this.faults.push({ line: 1, message: (error as Error).message }); // for example aliases that expand without end
      return undefined;
    }
  }

  /** The line of a value, or of the nearest enclosing value that exists. A member's line is that of its key. */
  lineOf(path: Path): number {
    let position = this.#document.contents?.range[0] ?? 0;
    let node: unknown = this.#document.contents;
    for (const step of path) {
      if (!isCollection(node)) break;
      const pair = isMap(node) ? (node.items as Pair[]).find(({ key }) => String(key) === String(step)) : undefined;
      const found = pair ?? (node.get(step, true) as Node | undefined);
      const start = ((pair?.key ?? found) as Node | undefined)?.range?.[0];
      if (found === undefined || start === undefined) break;
      position = start;
      node = pair ? pair.value : found;
    }
    return this.#lines.linePos(position).line;
  }

  /** The line of a character of a text, which can have several lines. */
  lineInText(path: Path, offset: number): number {
    const node = this.#document.getIn(path, true);
    if (!isScalar(node) || typeof node.value !== 'string' || !node.range) return this.lineOf(path);
    const line = this.#lines.linePos(node.range[0]).line;
    const isBlock = node.type === 'BLOCK_LITERAL' || node.type === 'BLOCK_FOLDED';
    return isBlock ? line + node.value.slice(0, offset).split('\n').length : line;
  }
}

function wordAt(text: string, offset: number): string {
  return /^[^\s:,{}]+/.exec(text.slice(offset))?.[0] ?? 'a key';
}

function syntaxMessage(code: ErrorCode, message: string, word: string): string {
  if (code === 'DUPLICATE_KEY') return `${word} is there twice`;
  if (code === 'BLOCK_AS_IMPLICIT_KEY') return `${message}: an expression with ': ' in it has to be in quotes`;
  return message;
}
