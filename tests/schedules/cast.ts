import type { Random } from '#test/random.ts';
import { runAs } from './actor.ts';
import type { Actor } from './actor.ts';
import type { SimulatedClock } from './clock.ts';
import type { ScheduledDatabase } from './database.ts';
import type { Part } from './parts.ts';
import type { Scheduler } from './scheduler.ts';

/** A place in the cast: who has it crashes, and another one takes it. */
export interface Role {
  name: string;
  /** undefined where it is not a part of the platform */
  start: (actor: Actor) => Part | undefined;
  actor: Actor | undefined;
  part: Part | undefined;
}

export interface CastOptions {
  random: Random;
  clock: SimulatedClock;
  database: ScheduledDatabase;
  scheduler: Scheduler;
}

/** Who takes part in a schedule. */
export class Cast {
  readonly #options: CastOptions;
  readonly roles: Role[] = [];
  #actors = 0;
  crashes = 0;
  /** whether who crashes is replaced at once */
  isCalm = false;
  /** whether nobody takes a role any more: who enters now would have connections that nobody ends */
  #isOver = false;

  constructor(options: CastOptions) {
    this.#options = options;
  }

  add(name: string, start: Role['start']): void {
    this.roles.push({ name, start, actor: undefined, part: undefined });
  }

  begin(): void {
    for (const role of this.roles) this.#enter(role);
  }

  /** Tells all that events have been committed. */
  wake(): void {
    for (const { part, actor } of this.roles) if (actor?.isAlive) part?.wake();
  }

  /** Stops an instance as a deployment does, and starts the next one when it has stopped. */
  replace(role: Role): void {
    const { scheduler, clock, database } = this.#options;
    const { actor, part } = role;
    if (!actor?.isAlive || !part) return;
    const next = () => {
      if (!actor.isAlive) return;
      actor.isAlive = false;
      database.endSessionsOf(actor, () => 0);
      this.#enter(role);
    };
    void runAs(actor, () => part.stop()).then(() => scheduler.plan(clock.now, next));
  }

  /** Ends the sessions of an actor that has crashed, and plans who takes its role. */
  onCrash(actor: Actor): void {
    const { random, scheduler, clock, database } = this.#options;
    this.crashes += 1;
    database.endSessionsOf(actor, () => (random.chance(0.3) ? random.int(1, 3_000) : 0));
    const role = this.roles.find((one) => one.actor === actor);
    if (!role) return;
    role.part = undefined;
    const wait = this.isCalm ? 1 : random.pick([1, random.int(1, 500), random.int(1, 5_000)]);
    scheduler.plan(clock.now + wait, () => this.#enter(role));
  }

  /** All crash, and nobody follows. */
  end(): void {
    this.#isOver = true;
    for (const { actor } of this.roles) if (actor) this.#options.scheduler.crash(actor);
  }

  /** A new instance takes a role. */
  #enter(role: Role): void {
    if (this.#isOver) return;
    const actor = { name: `${role.name}#${(this.#actors += 1)}`, isAlive: true };
    role.actor = actor;
    role.part = runAs(actor, () => role.start(actor));
  }
}
