import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { Fault } from '#local/fault.ts';

/** The files of a project that git tracks. @throws Fault if it is not a git clone */
export function trackedFiles(root: string): string[] {
  try {
    const list = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8', stdio: 'pipe' });
    return list.split('\0').filter((path) => path !== '' && existsSync(join(root, path)));
  } catch (error) {
    throw new Fault('The project is not a git clone, so that the files to copy are unknown.', { cause: error });
  }
}
