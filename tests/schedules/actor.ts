import { AsyncLocalStorage } from 'node:async_hooks';

/** A process of the simulation: what it calls and the timers that it sets are its own, and end with it. */
export interface Actor {
  name: string;
  /** false once it has crashed: none of its later calls takes effect, and none of its timers runs */
  isAlive: boolean;
}

const current = new AsyncLocalStorage<Actor>();

/** Runs work as an actor, with everything that follows from it. */
export function runAs<T>(actor: Actor, work: () => T): T {
  return current.run(actor, work);
}

/** Who runs now. */
export function currentActor(): Actor | undefined {
  return current.getStore();
}
