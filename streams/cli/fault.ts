import { StreamsError } from '#streams/errors';

/** An error that the user can fix; only its message is shown. */
export class ToolFault extends StreamsError {
  override name = 'ToolFault';
  /** 1: the command has failed; 2: the command line is not valid */
  readonly exitCode: 1 | 2;

  constructor(message: string, exitCode: 1 | 2 = 1) {
    super('ERR_QUERY_TOOL', message);
    this.exitCode = exitCode;
  }
}
