import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** The output of a program. @throws with its error output */
export async function run(program: string, args: readonly string[], input?: string): Promise<string> {
  const running = promisify(execFile)(program, args, { maxBuffer: 64 << 20 });
  if (input !== undefined) running.child.stdin!.end(input);
  return (await running).stdout;
}

export const kubectl = (...args: string[]): Promise<string> => run('kubectl', args);
