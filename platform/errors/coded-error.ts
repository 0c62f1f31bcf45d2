/** What docs/errors.md says of a code. */
export interface ErrorEntry {
  /** what has happened, as a sentence */
  means: string;
  /** what to do about it */
  action: string;
}

/** The errors of a part of Millrace, by code. */
export type ErrorCatalogue = Readonly<Record<`ERR_${string}`, ErrorEntry>>;

/** An error with a code. The catalogue explains the code; the message describes this one occurrence. */
export class CodedError<Code extends string> extends Error {
  override name = 'CodedError';
  readonly code: Code;

  constructor(code: Code, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What an error says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A thrown value, as an error. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
