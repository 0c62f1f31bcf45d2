import { readdirSync, readFileSync } from 'node:fs';

/** What a process and the processes of the same kind below it take, in bytes. */
export interface MemoryUse {
  name: string;
  processes: number;
  /** Resident memory; what processes share is counted for each. */
  rss: number;
  /** Proportional set: what processes share is divided among them, so that a sum is right. */
  pss: number;
}

/** The memory of a process and of everything below it, by kind; Linux only (`/proc`). */
export function memoryBelow(root: number): MemoryUse[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const stat = read(`/proc/${entry}/stat`);
    parents.set(Number(entry), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
  }
  const isBelow = (pid: number): boolean => pid === root || (parents.has(pid) && isBelow(parents.get(pid) as number));
  const uses = new Map<string, MemoryUse>();
  for (const pid of [...parents.keys()].filter(isBelow)) {
    const rollup = read(`/proc/${pid}/smaps_rollup`);
    const name = nameOf(read(`/proc/${pid}/cmdline`).replaceAll('\0', ' '));
    const use = uses.get(name) ?? { name, processes: 0, rss: 0, pss: 0 };
    uses.set(name, use);
    use.processes += 1;
    use.rss += kilobytes(rollup, 'Rss') * 1024;
    use.pss += kilobytes(rollup, 'Pss') * 1024;
  }
  return [...uses.values()].toSorted((a, b) => b.pss - a.pss);
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // ended meanwhile
  }
}

function kilobytes(rollup: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0);
}

/** What a command line is, for people. */
export function nameOf(command: string): string {
  const service = /services\/([\w-]+)\/main\.ts/.exec(command)?.[1];
  if (service) return service;
  if (command.includes('local/main.ts')) return 'runner';
  if (command.includes('kafka.Kafka')) return 'Kafka';
  if (command.startsWith('postgres:') || command.includes('bin/postgres')) return 'PostgreSQL';
  if (command.includes('start.mjs') || command.startsWith('npm')) return 'npm start';
  return command.split(' ')[0]?.split('/').at(-1) || 'unknown';
}
