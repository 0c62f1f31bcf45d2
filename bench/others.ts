import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { cpuSeconds, listBelow } from './processes.ts';

/** The processor time of all processes since the machine started, in seconds; Linux only. */
function machineSeconds(): number {
  const [user, nice, system] = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]!.split(/\s+/).slice(1).map(Number);
  return cpuSeconds({ ticks: user! + nice! + system! });
}

const ownSeconds = () => listBelow(process.pid).reduce((sum, stat) => sum + cpuSeconds(stat), 0);

/**
 * Watches the processor use of other processes during a measurement, which affects its figures.
 * @returns a function that returns the cores that processes other than this one and its descendants have used since
 */
export function watchOthers(): () => { cores: number; sentence: string } {
  const begin = performance.now();
  const before = machineSeconds() - ownSeconds();
  return () => {
    const spent = machineSeconds() - ownSeconds() - before;
    const cores = Math.max(0, Number((spent / ((performance.now() - begin) / 1000)).toFixed(2)));
    return { cores, sentence: `others      used ${cores} of ${availableParallelism()} cores meanwhile` };
  };
}
