import { StreamsError } from '#streams/errors';

/** Something that the user can mend; the message is all that is shown. */
export class ToolFault extends StreamsError {
  override name = 'ToolFault';
  /** 1: it could not be done; 2: the command line is not understood */
  readonly exitCode: 1 | 2;

  constructor(message: string, exitCode: 1 | 2 = 1) {
    super('ERR_QUERY_TOOL', message);
    this.exitCode = exitCode;
  }
}
