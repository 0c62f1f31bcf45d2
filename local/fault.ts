/**
 * A fault, which the user must correct. Its message is a whole sentence, shown without a stack; `hint` says what to do.
 */
export class Fault extends Error {
  readonly hint: string | undefined;

  constructor(message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Fault';
    this.hint = options.hint;
  }
}

/** The text shown for an error: a Fault's sentence and hint, anything else with its stack. */
export function describeError(error: unknown): string {
  if (error instanceof Fault) return error.hint === undefined ? error.message : `${error.message}\n${error.hint}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** The `code` of a system or PostgreSQL error, if it has one. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/**
 * Turns an error of the file system into a sentence about `what`; other errors pass through.
 * @example throw asFileFault(error, 'The data folder /x')
 */
export function asFileFault(error: unknown, what: string): unknown {
  const reasons: Record<string, string> = {
    ENOSPC: 'the disk is full',
    EDQUOT: 'the disk quota is used up',
    EACCES: 'this user may not write there',
    EPERM: 'this user may not write there',
    EROFS: 'the file system is read-only',
    ENOTDIR: 'a part of its path is a file',
    ENOENT: 'a folder of its path cannot be made', // Node says so where a missing folder is on a read-only file system
    EEXIST: 'a file of that name is in the way',
  };
  const reason = reasons[errorCode(error) ?? ''];
  return reason === undefined ? error : new Fault(`${what} cannot be written: ${reason}.`, { cause: error });
}
