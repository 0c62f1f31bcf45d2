import { clockOf } from '../plan.ts';
import type { System } from '../system.ts';
import { Skipped, type Inject } from './fault.ts';
import { restartPart } from './processes.ts';

/** Starts a service again, or all of them, with a clock that is ahead or behind, and at the end with the right one. */
export const skew: Inject = async (system, { target, choice }) => {
  const names = system.services
    .map(({ metadata }) => metadata.name)
    .filter((name) => target === 'all' || name === target);
  const left = names.filter((name) => !system.isDown(name));
  if (left.length === 0) throw new Skipped(`${target} is not running now`);
  await startWith(system, left, clockOf(choice));
  return async () => {
    // one that is not running now is asked again, and none twice
    for (; left.length > 0; left.shift()) await startWith(system, left.slice(0, 1), 0);
  };
};

async function startWith(system: System, names: readonly string[], aheadMs: number): Promise<void> {
  for (const name of names) {
    system.clocks.set(name, aheadMs);
    await restartPart(system, name);
  }
}
