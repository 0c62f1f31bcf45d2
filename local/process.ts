import { spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** Whether a process of this id exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The command line of a running process; undefined if there is none, or if it only waits to be reaped. */
export function commandOf(pid: number): string | undefined {
  if (!isAlive(pid)) return undefined;
  if (existsSync('/proc/self/cmdline')) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      return command === '' ? undefined : command;
    } catch {
      return undefined;
    }
  }
  const command = spawnSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).stdout?.trim();
  return command === '' ? undefined : command;
}

/**
 * Writes the id and the command line of a running process: after a reboot, another process may have the id.
 * A reader sees the old or the new file, never a part.
 */
export function writePidFile(file: string, pid: number): void {
  writeAside(file, pid, (aside) => renameSync(aside, file));
}

/**
 * Does the same as `writePidFile`, but only if the file does not exist.
 * @throws Error with the code EEXIST if it exists
 */
export function createPidFile(file: string, pid: number): void {
  writeAside(file, pid, (aside) => linkSync(aside, file));
}

function writeAside(file: string, pid: number, replaceOld: (aside: string) => void): void {
  const aside = `${file}.${process.pid}.tmp`;
  try {
    writeFileSync(aside, JSON.stringify({ pid, command: commandOf(pid) ?? '' }));
    replaceOld(aside);
  } finally {
    rmSync(aside, { force: true });
  }
}

/**
 * Writes the file of a new child. A child without a file is ended: this run has nothing yet to stop it with, and a later run
 * would not find it.
 */
export async function writePidFileOf(child: ChildProcess, pid: number, file: string): Promise<void> {
  try {
    writePidFile(file, pid);
  } catch (error) {
    await endChild(child, 'SIGTERM', 5_000);
    throw error;
  }
}

/** Removes the file of a process that has ended, unless it already names another process. */
export function removePidFile(file: string, pid: number): void {
  if (existsSync(file) && readFileSync(file, 'utf8').includes(`"pid":${pid},`)) rmSync(file);
}

/** The process of a file of `writePidFile`, if it still runs. */
export function runningPid(file: string): number | undefined {
  try {
    const { pid, command } = JSON.parse(readFileSync(file, 'utf8')) as { pid: number; command: string };
    return commandOf(pid) === command ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Waits until a process has ended, also one that is not a child; resolves to whether it did within `timeoutMs`. */
export async function waitUntilGone(pid: number, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (commandOf(pid) !== undefined) {
    if (Date.now() > deadline) return false;
    await delay(20);
  }
  return true;
}

/**
 * Ends the process that a killed run has left, if the pid file names a running process.
 * @returns whether there was one
 */
export async function endOrphan(file: string, signal: NodeJS.Signals, graceMs: number): Promise<boolean> {
  const pid = runningPid(file);
  if (pid !== undefined) await endProcess(pid, signal, graceMs);
  rmSync(file, { force: true });
  return pid !== undefined;
}

/** Asks a process to end and kills it after `graceMs`. */
export async function endProcess(pid: number, signal: NodeJS.Signals, graceMs: number): Promise<void> {
  tryKill(pid, signal);
  if (await waitUntilGone(pid, graceMs)) return;
  tryKill(pid, 'SIGKILL');
  await waitUntilGone(pid, 5_000);
}

/** Asks a child to end, kills it after `graceMs`, and resolves when it has ended. */
export async function endChild(child: ChildProcess, signal: NodeJS.Signals, graceMs: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const force = setTimeout(() => child.kill('SIGKILL'), graceMs);
  child.kill(signal);
  await exited;
  clearTimeout(force);
}

function tryKill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
