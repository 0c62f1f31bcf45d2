import { RuntimeError } from './catalogue.ts';
import type { Controller } from './controller.ts';
import type { Informer } from './informer.ts';
import type { LeaderElection, LeaderElectionOptions } from './lease.ts';
import type { Log } from './log.ts';
import type { RuntimeMetrics } from './metrics.ts';
import type { KubeObject } from './objects.ts';

interface OperatorOptions {
  log: Log;
  metrics: RuntimeMetrics;
  informers: readonly Pick<Informer<KubeObject>, 'run' | 'hasSynced' | 'whenSynced' | 'isUnread' | 'type'>[];
  controllers: readonly Controller[];
  /** creates the election with these callbacks */
  election: (handlers: Pick<LeaderElectionOptions, 'onStartedLeading' | 'onStoppedLeading'>) => LeaderElection;
}

/**
 * Runs informers and controllers. The informers always run, so that a process that takes over has its caches already. The
 * controllers run while the process leads and after every cache has synced: in a cache that has not synced, objects seem to
 * be missing.
 */
export class Operator {
  readonly #options: OperatorOptions;
  readonly #stopping = new AbortController();
  readonly #election: LeaderElection;
  #caches: Promise<unknown> | undefined;
  #term: AbortController | undefined;

  constructor(options: OperatorOptions) {
    this.#options = options;
    this.#election = options.election({
      onStartedLeading: () => this.#startLeading(),
      onStoppedLeading: () => this.#stopLeading(),
    });
  }

  start(): void {
    const { informers } = this.#options;
    this.#caches = Promise.all(informers.map((informer) => informer.run(this.#stopping.signal)));
    this.#election.start();
  }

  /** Stops the controllers, releases the lease, and ends the watches. */
  async stop(): Promise<void> {
    await this.#election.stop();
    this.#stopping.abort();
    await this.#caches;
  }

  get leading(): boolean {
    return this.#election.leading;
  }

  /** @throws while a cache has not synced: this process cannot take over yet */
  checkReady(): void {
    const empty = this.#options.informers.filter((informer) => !informer.hasSynced);
    if (empty.length > 0)
      throw new RuntimeError(
        'ERR_OPERATOR_NOT_READY',
        `the caches have not synced: ${empty.map(({ type }) => type.plural).join(', ')}`,
      );
  }

  /** @throws where only a restart helps */
  checkAlive(): void {
    for (const controller of this.#options.controllers) controller.check();
  }

  /** Does not wait for the caches, as the election must renew the lease meanwhile. */
  #startLeading(): void {
    const { informers, controllers, metrics } = this.#options;
    const term = new AbortController();
    this.#term = term;
    const isUnread = (namespace: string) => informers.some((informer) => informer.isUnread(namespace));
    void Promise.all(informers.map((informer) => informer.whenSynced())).then(() => {
      if (term.signal.aborted) return;
      metrics.leads(true, isUnread); // one that waits for its caches does nothing yet
      for (const controller of controllers) controller.start(isUnread);
    });
  }

  async #stopLeading(): Promise<void> {
    const { controllers, metrics } = this.#options;
    this.#term?.abort();
    await Promise.all(controllers.map((controller) => controller.stop()));
    metrics.leads(false);
  }
}
