import { spawnSync } from 'node:child_process';
import { closeSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { Skipped, type Inject } from './fault.ts';

/** Room for the servers' data of some minutes, and little enough to be filled in a moment. */
const size = '1500m';
/** A larger disk is the machine's own. */
const largestBytes = 4 * 2 ** 30;
const chunk = Buffer.alloc(1 << 20);

/** Puts a file system of its own on an empty folder. @returns why this machine cannot */
export function mountSmallDisk(folder: string): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'only root on Linux can mount a small disk';
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=755`, 'tmpfs', folder]);
  if (status !== 0) return `no small disk can be mounted: ${String(stderr).trim()}`;
  return undefined;
}

/** Removes that file system, if the folder has one. */
export function unmountSmallDisk(folder: string): void {
  if (process.platform === 'linux') spawnSync('umount', ['--lazy', folder]);
}

/** Fills the disk of the data to its last byte. */
export const fillDisk: Inject = ({ data }) => {
  const { blocks, bsize } = statfsSync(data);
  if (blocks * bsize > largestBytes) throw new Skipped('the data is not on a small disk of its own');
  const file = join(data, 'filler');
  const fill = openSync(file, 'w');
  try {
    for (;;) writeSync(fill, chunk);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(fill);
  }
  return Promise.resolve(() => Promise.resolve(rmSync(file, { force: true })));
};
