/** An error that the user can fix; only its message is shown. */
export class ToolFault extends Error {
  override name = 'ToolFault';
  /** 1: the command has failed; 2: the command line is not valid */
  readonly exitCode: 1 | 2;

  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}
