import { existsSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';

/** A larger log is put aside at the next start of its server, in place of the one before. */
const MOST_BYTES = 16 << 20;

/** Opens the log of a server, which keeps what earlier runs have written. @returns the file descriptor */
export function openLog(file: string): number {
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > MOST_BYTES) renameSync(file, `${file}.1`);
  return openSync(file, 'a');
}

/** The last lines of a log; empty if there is none. */
export function lastLines(file: string, count: number): string {
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').slice(-count).join('\n') : '';
}
