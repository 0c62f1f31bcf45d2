import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { Fault } from '#local/fault.ts';

/** The files of a project that git tracks. @throws Fault where it is no git clone */
export function trackedFiles(root: string): string[] {
  try {
    const list = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8', stdio: 'pipe' });
    return list.split('\0').filter((path) => path !== '' && existsSync(join(root, path)));
  } catch (error) {
    throw new Fault('The project is no git clone: which of its files are to be copied is not known.', { cause: error });
  }
}
