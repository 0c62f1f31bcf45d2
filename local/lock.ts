import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { asFileFault, errorCode, Fault } from './fault.ts';
import { createPidFile, removePidFile, runningPid } from './process.ts';

/**
 * Takes the data folder for this process, creating it; a lock of a process that is gone does not count.
 * @returns gives it back
 * @throws Fault when another run has it, or it cannot be written
 */
export function lockFolder(folder: string): () => void {
  const file = join(folder, 'runner.pid');
  try {
    mkdirSync(folder, { recursive: true });
    if (!tryLock(file)) {
      const holder = runningPid(file);
      if (holder !== undefined)
        throw new Fault(`Millrace runs already on the data in ${folder} (process ${holder}).`, {
          hint: 'Stop it with Ctrl-C where it was started, or run another one beside it: npm start -- --port-offset 1000 --data <folder>',
        });
      rmSync(file, { force: true });
      if (!tryLock(file)) throw new Fault(`Another start of Millrace on the data in ${folder} was quicker.`);
    }
  } catch (error) {
    throw asFileFault(error, `The data folder ${folder}`);
  }
  return () => removePidFile(file, process.pid);
}

/** Creates the file, with all that is in it, in one step, unless it exists. */
function tryLock(file: string): boolean {
  try {
    createPidFile(file, process.pid);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}
