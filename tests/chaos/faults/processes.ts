import type { System } from '../system.ts';
import { nothing, Skipped, type Inject, type Undo } from './fault.ts';

/** PostgreSQL's own words: SIGQUIT is its immediate shutdown, SIGINT its fast one. */
const ways = {
  kill: (part: string): NodeJS.Signals => (part === 'PostgreSQL' ? 'SIGQUIT' : 'SIGKILL'),
  restart: (part: string): NodeJS.Signals => (part === 'PostgreSQL' ? 'SIGINT' : 'SIGTERM'),
};

/** Ends a part at once; its supervision starts it again. The fault is over at once, so that the start counts as recovery. */
export const kill: Inject = (system, { target }) => end(system, target, ways.kill(target));

/** Asks a part to end; its supervision starts it again. */
export const restart: Inject = (system, { target }) => restartPart(system, target);

/** @throws Skipped if it is not running now */
export const restartPart = (system: System, part: string): Promise<Undo> => end(system, part, ways.restart(part));

function end(system: System, part: string, signal: NodeJS.Signals): Promise<Undo> {
  process.kill(pidOf(system, part), signal);
  return Promise.resolve(nothing);
}

/** Freezes a part: it keeps its connections and answers nothing. */
export const freeze: Inject = (system, { target }) => Promise.resolve(freezeProcess(pidOf(system, target)));

function pidOf(system: System, part: string): number {
  const pid = system.pid(part);
  if (pid === undefined) throw new Skipped(`${part} is not running now`);
  return pid;
}

const frozen = new Set<number>();

/** Stops a process until the undo. */
export function freezeProcess(pid: number): Undo {
  process.kill(pid, 'SIGSTOP');
  frozen.add(pid);
  return () => {
    thaw(pid);
    return Promise.resolve();
  };
}

function thaw(pid: number): void {
  frozen.delete(pid);
  try {
    process.kill(pid, 'SIGCONT');
  } catch {
    // it was killed meanwhile
  }
}

/** Lets every frozen process go on: a frozen one outlives the request to end. */
export function thawAll(): void {
  for (const pid of frozen) thaw(pid);
}
