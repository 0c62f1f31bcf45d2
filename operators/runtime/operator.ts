import { RuntimeError } from './catalogue.ts';
import type { Controller } from './controller.ts';
import type { Informer } from './informer.ts';
import type { LeaderElection, LeaderElectionOptions } from './lease.ts';
import type { Log } from './log.ts';
import type { RuntimeMetrics } from './metrics.ts';
import type { KubeObject } from './objects.ts';

export interface OperatorOptions {
  log: Log;
  metrics: RuntimeMetrics;
  informers: readonly Pick<Informer<KubeObject>, 'run' | 'filled' | 'whenFilled' | 'type'>[];
  controllers: readonly Controller[];
  /** makes the election, given what is to happen when it is won and lost */
  election: (handlers: Pick<LeaderElectionOptions, 'onAcquired' | 'onLost'>) => LeaderElection;
}

/**
 * Runs caches and controllers: the caches always, so that a process that takes over knows everything already; the
 * controllers while it leads, and only once every cache is filled, as a half-filled one looks like a world in which things
 * are missing.
 */
export class Operator {
  readonly #options: OperatorOptions;
  readonly #stopping = new AbortController();
  readonly #election: LeaderElection;
  #caches: Promise<unknown> | undefined;
  #term: AbortController | undefined;

  constructor(options: OperatorOptions) {
    this.#options = options;
    this.#election = options.election({ onAcquired: () => this.#begin(), onLost: () => this.#end() });
  }

  start(): void {
    const { informers } = this.#options;
    this.#caches = Promise.all(informers.map((informer) => informer.run(this.#stopping.signal)));
    this.#election.start();
  }

  /** Finishes what is in hand, gives the lease back, and ends the watches. */
  async stop(): Promise<void> {
    await this.#election.stop();
    this.#stopping.abort();
    await this.#caches;
  }

  get leading(): boolean {
    return this.#election.leading;
  }

  /** @throws while a cache is not filled: this process could not take over */
  checkReady(): void {
    const empty = this.#options.informers.filter((informer) => !informer.filled);
    if (empty.length > 0)
      throw new RuntimeError(
        'ERR_OPERATOR_NOT_READY',
        `not listed yet: ${empty.map(({ type }) => type.plural).join(', ')}`,
      );
  }

  /** @throws where only a restart can help */
  checkAlive(): void {
    for (const controller of this.#options.controllers) controller.check();
  }

  /** Does not wait for the caches: the lease has to be renewed meanwhile. */
  #begin(): void {
    const { informers, controllers, metrics } = this.#options;
    const term = new AbortController();
    this.#term = term;
    metrics.leads(true);
    void Promise.all(informers.map((informer) => informer.whenFilled())).then(() => {
      if (!term.signal.aborted) for (const controller of controllers) controller.start();
    });
  }

  async #end(): Promise<void> {
    const { controllers, metrics } = this.#options;
    this.#term?.abort();
    await Promise.all(controllers.map((controller) => controller.stop()));
    metrics.leads(false);
  }
}
