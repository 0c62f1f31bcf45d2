import { currentActor } from './actor.ts';
import { machine, SimulatedClock } from './clock.ts';
import { ScheduledDatabase } from './database.ts';
import { Schedule } from './schedule.ts';
import type { ScheduleResult, Stage } from './schedule.ts';
import { declareQueries } from './streams.ts';
import { tables } from './writer.ts';

/** When a schedule counts as one that does not end. */
export interface Limits {
  /** it has more steps */
  steps: number;
  /** it has had no step for so long, in milliseconds of the machine */
  stillMs: number;
}

/** Plays one schedule after the other, with the same database and in the same process. */
export class Stand {
  readonly #stage: Stage;
  readonly #limits: Limits;

  private constructor(stage: Stage, limits: Limits) {
    this.#stage = stage;
    this.#limits = limits;
  }

  static async open(limits: Limits): Promise<Stand> {
    const noon = Math.floor(Date.now() / 86_400_000) * 86_400_000 + 43_200_000;
    const clock = new SimulatedClock(noon, () => {
      const actor = currentActor();
      return () => actor?.isAlive !== false;
    });
    const database = await ScheduledDatabase.create(tables);
    return new Stand({ clock, database, versions: await database.prepare(declareQueries) }, limits);
  }

  async close(): Promise<void> {
    await this.#stage.database.close();
  }

  /** Plays the schedule of a seed. After one that does not end, no other can be played. */
  async play(seed: number): Promise<ScheduleResult> {
    const { clock } = this.#stage;
    clock.reset();
    clock.install();
    const ended = new AbortController();
    const schedule = new Schedule(seed, this.#stage, ended.signal);
    try {
      return await Promise.race([schedule.play(), this.#endless(schedule, ended.signal)]);
    } finally {
      ended.abort();
      clock.uninstall();
    }
  }

  /** Resolves where a schedule does not end: it goes on for ever, or something in it is not answered. */
  #endless(schedule: Schedule, ended: AbortSignal): Promise<ScheduleResult> {
    const { steps, stillMs } = this.#limits;
    return new Promise((resolve) => {
      let before = -1;
      const look = () => {
        if (schedule.steps > steps || schedule.steps === before) resolve(schedule.giveUp());
        before = schedule.steps;
      };
      const timer = machine.setInterval(look, stillMs);
      ended.addEventListener('abort', () => machine.clearInterval(timer));
    });
  }
}
