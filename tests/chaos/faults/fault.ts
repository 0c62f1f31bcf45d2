import { setTimeout as sleep } from 'node:timers/promises';

import type { PlannedFault } from '../plan.ts';
import type { System } from '../system.ts';

/** Ends a fault; may be called again if it has failed. */
export type Undo = () => Promise<void>;

export const nothing: Undo = () => Promise.resolve();

/** Thrown by a fault that this machine cannot have; the message says why. */
export class Skipped extends Error {}

/**
 * Causes a fault.
 * @returns how to end it, after its time
 * @throws Skipped
 */
export type Inject = (system: System, fault: PlannedFault) => Promise<Undo>;

const againMs = 250;

/** Tries again for a while: the other fault of a pair may be in the way. @throws the last error */
export async function insist(work: () => Promise<void>, withinMs: number): Promise<void> {
  for (const deadline = performance.now() + withinMs; ; await sleep(againMs)) {
    try {
      return await work();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
  }
}
