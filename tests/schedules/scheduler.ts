import type { Random } from '#test/random.ts';
import type { Actor } from './actor.ts';
import { currentActor } from './actor.ts';
import { faults, innocentCodes, shown } from './call.ts';
import type { Call, Fate, Outage } from './call.ts';
import { machine } from './clock.ts';
import type { SimulatedClock } from './clock.ts';

type Settled = { value: unknown } | { error: unknown };

interface Step {
  call: Call<unknown>;
  actor: Actor | undefined;
  readyAt: number;
  deadline: number;
  /** undefined where nobody waits for it any more */
  settle: ((outcome: Settled) => void) | undefined;
  fate: Fate | undefined;
  outcome: Settled | undefined;
  done: Promise<void> | undefined;
}

export interface SchedulerOptions {
  random: Random;
  clock: SimulatedClock;
  /** ends `runUntil` */
  signal: AbortSignal;
  /** called before each step with the time has moved on: PostgreSQL has the same time */
  onTime: () => Promise<void>;
  onCrash: (actor: Actor) => void;
}

/**
 * Lets one call at a time take effect, in an order that it draws. Between two steps everything in this process has come to rest, so
 * that the draws alone decide what happens next.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #steps = new Set<Step>();
  readonly #blocked = new Set<Step>();
  readonly #planned: { at: number; run: () => void | Promise<void> }[] = [];
  /** how often a call meets a fault, and how often it is slow, from 0 to 1 */
  rates = { fault: 0, slow: 0 };
  outage: Outage | undefined;
  /** for people: what happened, the last lines */
  readonly trace: string[] = [];
  steps = 0;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  /** Resolves as the scheduler decides; never for an actor that has crashed. */
  call<T>(call: Call<T>): Promise<T> {
    const actor = currentActor();
    if (actor && !actor.isAlive) return new Promise(() => undefined);
    const { clock } = this.#options;
    return new Promise<T>((resolve, reject) => {
      this.#steps.add({
        call: call as Call<unknown>,
        actor,
        readyAt: clock.now + this.#latency(),
        deadline: clock.now + call.timeoutMs,
        settle: (outcome) => {
          if ('error' in outcome) reject(outcome.error as Error);
          else resolve(outcome.value as T);
        },
        fate: undefined,
        outcome: undefined,
        done: undefined,
      });
    });
  }

  /** Lets a server do something after a time that nobody waits for. */
  later(what: string, ms: number, effect: () => Promise<unknown>): void {
    const { now } = this.#options.clock;
    const call = { what, server: 'PostgreSQL' as const, effect, lose: () => new Error(what), timeoutMs: 0 };
    const [readyAt, deadline] = [now + ms, Number.POSITIVE_INFINITY];
    this.#steps.add({ call, actor: undefined, readyAt, deadline, settle: undefined, fate: 'go', outcome: undefined, done: undefined }); // prettier-ignore
  }

  /** Runs something at a time, between two steps. */
  plan(at: number, run: () => void | Promise<void>): void {
    this.#planned.push({ at, run });
  }

  /** Whether something is left that nobody waits for. */
  get isTrailing(): boolean {
    return [...this.#steps, ...this.#blocked].some(({ settle }) => settle === undefined);
  }

  note(text: string): void {
    this.trace.push(`${this.#options.clock.now.toFixed(1)} ${text}`);
    if (this.trace.length > 400) this.trace.shift();
  }

  crash(actor: Actor): void {
    if (!actor.isAlive) return;
    this.note(`${actor.name} crashes`);
    actor.isAlive = false;
    for (const step of this.#steps)
      if (step.actor === actor && step.settle) {
        this.#steps.delete(step);
        step.settle = undefined;
      }
    for (const step of this.#blocked) if (step.actor === actor) step.settle = undefined;
    this.#options.onCrash(actor);
  }

  /** Goes on until a condition that planned work brings about. @throws once the signal is aborted */
  async runUntil(isOver: () => boolean): Promise<void> {
    const { clock, random, signal } = this.#options;
    while (!isOver()) {
      signal.throwIfAborted();
      await this.#rest();
      this.#expire();
      const planned = this.#planned.find(({ at }) => at <= clock.now);
      if (planned) {
        this.#planned.splice(this.#planned.indexOf(planned), 1);
        await planned.run();
        continue;
      }
      const ready = [...this.#steps].filter(({ readyAt }) => readyAt <= clock.now);
      if (ready.length > 0) await this.#perform(random.pick(ready));
      else if (!(await this.#advance())) throw new Error('nothing is left to do');
    }
  }

  #latency(): number {
    const { random } = this.#options;
    if (random.chance(this.rates.slow)) return random.chance(0.1) ? random.int(1_000, 14_000) : random.int(5, 300);
    return 0.1 + random.next() * 2;
  }

  /** Waits until everything in this process waits for a step or for a timer. */
  async #rest(): Promise<void> {
    const { clock } = this.#options;
    for (let turns = 0; turns < 2; turns += 1) {
      await new Promise((resolve) => machine.setImmediate(resolve));
      if (clock.immediates > 0) turns = 0;
    }
  }

  /** Those who have waited for too long wait no longer. */
  #expire(): void {
    const { now } = this.#options.clock;
    for (const step of [...this.#steps, ...this.#blocked])
      if (step.deadline <= now && step.settle) {
        this.note(`${step.actor?.name ?? ''} gives up: ${shown(step.call)}`);
        this.#answer(step, { error: step.call.lose() });
        step.fate ??= 'go';
      }
  }

  async #advance(): Promise<boolean> {
    const { clock } = this.#options;
    let next = clock.next;
    for (const { readyAt, deadline, settle } of this.#steps) next = Math.min(next, readyAt, settle ? deadline : next);
    for (const { deadline, settle } of this.#blocked) if (settle) next = Math.min(next, deadline);
    for (const { at } of this.#planned) next = Math.min(next, at);
    if (next === Number.POSITIVE_INFINITY) {
      if (this.#blocked.size === 0) return false;
      await Promise.race([...this.#blocked].map(({ done }) => Promise.resolve(done)));
      await this.#unblock();
      return true;
    }
    while (clock.moveTo(next));
    return true;
  }

  #drawFate({ call, actor }: Step): { fate: Fate; code?: string | undefined } {
    const { random } = this.#options;
    const { outage } = this;
    if (!actor) return { fate: 'go' };
    const own = outage && outage.until > this.#options.clock.now ? outage.fateOf(call, actor) : undefined;
    if (own) return own;
    if (!random.chance(this.rates.fault)) return { fate: 'go' };
    const fate = random.pick(faults);
    if (fate === 'failed') return call.fail ? { fate, code: random.pick(innocentCodes) } : { fate: 'lost' };
    if (fate === 'repeated' && call.isRepeatable !== true) return { fate: 'unanswered' };
    return { fate };
  }

  async #perform(step: Step): Promise<void> {
    const { call, actor } = step;
    this.steps += 1;
    this.#steps.delete(step);
    const { fate, code } = step.fate ? { fate: step.fate } : this.#drawFate(step);
    step.fate = fate;
    this.note(`${actor?.name ?? '-'}: ${shown(call)}${fate === 'go' ? '' : ` (${fate})`}`);
    if (fate === 'crash-before') return this.crash(actor!);
    if (fate === 'lost') {
      this.#answer(step, { error: call.lose() });
      call.abandoned?.();
      return;
    }
    if (fate === 'late') {
      this.#answer(step, { error: call.lose() });
      step.fate = 'go';
      step.readyAt = this.#options.clock.now + this.#options.random.int(1, 4_000);
      this.#steps.add(step);
      return;
    }
    await this.#options.onTime();
    const effect = async () => {
      if (fate === 'failed') return call.fail!(code!);
      const value = await call.effect();
      return fate === 'repeated' ? call.effect() : value;
    };
    step.done = effect().then(
      (value) => void (step.outcome = { value }),
      (error: unknown) => void (step.outcome = { error }),
    );
    if (await this.#isDone(step)) this.#conclude(step);
    else this.#blocked.add(step);
    await this.#unblock();
  }

  /** @returns false where the server waits for another session */
  async #isDone(step: Step): Promise<boolean> {
    for (let ms = 2; ; ms = Math.min(50, 2 * ms)) {
      this.#options.signal.throwIfAborted();
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => (timer = machine.setTimeout(resolve, ms)));
      await Promise.race([step.done, late]);
      machine.clearTimeout(timer);
      if (step.outcome) return true;
      if (await step.call.isBlocked?.()) return step.outcome !== undefined;
    }
  }

  async #unblock(): Promise<void> {
    for (let isMore = this.#blocked.size > 0; isMore;) {
      isMore = false;
      for (const step of this.#blocked) {
        if (!step.outcome && (await step.call.isBlocked!()) && !step.outcome) continue;
        if (!(await this.#isDone(step))) continue;
        this.#blocked.delete(step);
        this.#conclude(step);
        isMore = true;
      }
    }
  }

  #conclude(step: Step): void {
    const { call, actor, fate, outcome } = step;
    if (!step.settle) call.abandoned?.();
    else if (fate === 'crash-after') {
      step.settle = undefined;
      this.crash(actor!);
    } else if (fate === 'unanswered') {
      this.#answer(step, { error: call.lose() });
      call.abandoned?.();
    } else this.#answer(step, outcome!);
  }

  #answer(step: Step, outcome: Settled): void {
    step.settle?.(outcome);
    step.settle = undefined;
  }
}
