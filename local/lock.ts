import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { asFileFault, errorCode, Fault } from './fault.ts';
import { createPidFile, removePidFile, runningPid } from './process.ts';

/**
 * Locks the data folder for this process, and creates it; the lock of an ended process does not count.
 * @returns a function that releases the lock
 * @throws Fault if another run has the lock, or the folder cannot be written
 */
export function lockFolder(folder: string): () => void {
  const file = join(folder, 'runner.pid');
  try {
    mkdirSync(folder, { recursive: true });
    if (!tryLock(file)) {
      const holder = runningPid(file);
      if (holder !== undefined)
        throw new Fault(`Millrace already runs on the data in ${folder} (process ${holder}).`, {
          hint: 'Stop it with Ctrl-C in its terminal, or run another one beside it: npm start -- --port-offset 1000 --data <folder>',
        });
      rmSync(file, { force: true });
      if (!tryLock(file)) throw new Fault(`Another Millrace has just started on the data in ${folder}.`);
    }
  } catch (error) {
    throw asFileFault(error, `The data folder ${folder}`);
  }
  return () => removePidFile(file, process.pid);
}

/** Creates the file with its content in one step, unless it exists. */
function tryLock(file: string): boolean {
  try {
    createPidFile(file, process.pid);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}
