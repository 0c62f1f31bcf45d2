import { readFileSync, readdirSync } from 'node:fs';

export interface ProcessStat {
  pid: number;
  name: string;
  /** user and system time of the process and its ended children, in clock ticks */
  ticks: number;
}

const ticksPerSecond = 100; // sysconf(_SC_CLK_TCK) on Linux

export function cpuSeconds({ ticks }: ProcessStat): number {
  return ticks / ticksPerSecond;
}

/** The processes that a process has started, and theirs, by what they are; Linux only (`/proc`). */
export function processesBelow(root: number): ProcessStat[] {
  const all = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => {
      try {
        const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
        const command = readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ');
        return [{ pid: Number(entry), parent: Number(fields[1]), name: nameOf(command), ticks }];
      } catch {
        return []; // ended meanwhile
      }
    });
  const below = new Set([root]);
  for (let size = 0; size !== below.size;) {
    size = below.size;
    for (const { pid, parent } of all) if (below.has(parent)) below.add(pid);
  }
  const byName = new Map<string, ProcessStat>();
  for (const { pid, name, ticks } of all.filter((process) => below.has(process.pid))) {
    const known = byName.get(name);
    if (known) known.ticks += ticks;
    else byName.set(name, { pid, name, ticks });
  }
  return [...byName.values()];
}

/** A service, the runner, postgres or kafka. */
function nameOf(command: string): string {
  const service = /services\/(\w+)\/main\.ts/.exec(command);
  if (service) return service[1]!;
  if (command.includes('local/main.ts')) return 'runner';
  if (command.includes('kafka.Kafka')) return 'kafka';
  if (command.startsWith('postgres') || command.includes('/postgres')) return 'postgres';
  return command.split(' ')[0]!.split('/').at(-1)!;
}
