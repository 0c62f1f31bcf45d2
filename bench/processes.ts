import { readFileSync, readdirSync } from 'node:fs';

export interface ProcessStat {
  pid: number;
  name: string;
  /** user and system time of the process and its ended children, in clock ticks */
  ticks: number;
}

const ticksPerSecond = 100; // sysconf(_SC_CLK_TCK) on Linux

export function cpuSeconds({ ticks }: Pick<ProcessStat, 'ticks'>): number {
  return ticks / ticksPerSecond;
}

/** A process and its descendants; Linux only (`/proc`). */
export function listBelow(root: number): (ProcessStat & { group: number })[] {
  const all = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => {
      try {
        const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
        const command = readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ');
        const [parent, group] = [Number(fields[1]), Number(fields[2])];
        return [{ pid: Number(entry), parent, group, name: nameOf(command), ticks }];
      } catch {
        return []; // ended meanwhile
      }
    });
  const below = new Set([root]);
  for (let size = 0; size !== below.size;) {
    size = below.size;
    for (const { pid, parent } of all) if (below.has(parent)) below.add(pid);
  }
  return all.filter(({ pid }) => below.has(pid));
}

/** The same, summed by kind. */
export function processesBelow(root: number): ProcessStat[] {
  const byName = new Map<string, ProcessStat>();
  for (const { pid, name, ticks } of listBelow(root)) {
    const known = byName.get(name);
    if (known) known.ticks += ticks;
    else byName.set(name, { pid, name, ticks });
  }
  return [...byName.values()];
}

/** A readable name of a command line. */
function nameOf(command: string): string {
  const service = /services\/([\w-]+)\/main\.ts/.exec(command)?.[1];
  if (service) return service;
  if (command.includes('local/main.ts')) return 'runner';
  if (command.includes('kafka.Kafka')) return 'Kafka';
  if (command.startsWith('postgres:') || command.includes('bin/postgres')) return 'PostgreSQL';
  if (command.includes('start.mjs') || command.startsWith('npm')) return 'npm start';
  return command.split(' ')[0]?.split('/').at(-1) || 'unknown';
}
