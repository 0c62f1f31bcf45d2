import { readFileSync } from 'node:fs';
import { listBelow } from './processes.ts';

/** The memory of a process and its descendants of the same kind, in bytes. */
export interface MemoryUse {
  name: string;
  processes: number;
  /** Resident memory; shared pages count for each process. */
  rss: number;
  /** Proportional set: shared pages are divided among the processes, so that sums are correct. */
  pss: number;
}

/** The memory of a process and its descendants, by kind; Linux only (`/proc`). */
export function memoryBelow(root: number): MemoryUse[] {
  const uses = new Map<string, MemoryUse>();
  for (const { pid, name } of listBelow(root)) {
    const rollup = rollupOf(pid);
    const use = uses.get(name) ?? { name, processes: 0, rss: 0, pss: 0 };
    uses.set(name, use);
    use.processes += 1;
    use.rss += kilobytes(rollup, 'Rss') * 1024;
    use.pss += kilobytes(rollup, 'Pss') * 1024;
  }
  return [...uses.values()].toSorted((a, b) => b.pss - a.pss);
}

function rollupOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  } catch {
    return ''; // ended meanwhile
  }
}

function kilobytes(rollup: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0);
}
