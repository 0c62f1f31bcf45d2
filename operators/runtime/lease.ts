import type { Api } from './api.ts';
import { backoffMs } from '#platform/lifecycle';
import { microTime } from './clock.ts';
import type { Clock } from './clock.ts';
import { isConflict } from './errors.ts';
import type { Log } from './log.ts';
import type { KubeObject, ResourceType } from './objects.ts';

export const leaseType: ResourceType = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
};

export interface Lease extends KubeObject {
  spec: LeaseSpec;
}

interface LeaseSpec {
  holderIdentity?: string;
  leaseDurationSeconds?: number;
  acquireTime?: string;
  renewTime?: string;
  leaseTransitions?: number;
}

export interface LeaderElectionOptions {
  api: Api;
  clock: Clock;
  log: Log;
  namespace: string;
  name: string;
  /** the name of this candidate, which no other one has */
  identity: string;
  onStartedLeading: () => void | Promise<void>;
  /** The candidate does not lead again before this has resolved. */
  onStoppedLeading: () => void | Promise<void>;
  /** how long the other candidates wait for a leader that no longer renews */
  leaseDurationMs: number;
  /** a leader that has not renewed for that long stops leading; less than `leaseDurationMs` */
  renewDeadlineMs: number;
  /** the time between two attempts to acquire or renew */
  retryPeriodMs: number;
}

/** A version of the lease, and when this candidate saw it first, by its own clock: it trusts the clock of no other machine. */
interface Observation {
  version: string;
  at: number;
}

/**
 * Elects one leader among several processes, with a Lease. A leader that cannot renew stops leading before another candidate
 * may take over; it then is a candidate again, and its process goes on. `stop` releases the lease, so that another candidate
 * takes over at its next attempt.
 */
export class LeaderElection {
  readonly #options: LeaderElectionOptions;
  #observation: Observation | undefined;
  #leading = false;
  #stopping = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
  }

  get leading(): boolean {
    return this.#leading;
  }

  start(): void {
    this.#loop ??= this.#run(this.#stopping.signal);
  }

  /** Stops leading and releases the lease. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(signal: AbortSignal): Promise<void> {
    let renewedAt = Number.NEGATIVE_INFINITY;
    while (!signal.aborted) {
      const { clock } = this.#options;
      const begin = clock.now();
      const timeoutMs = this.#leading
        ? renewedAt + this.#options.renewDeadlineMs - begin
        : this.#options.renewDeadlineMs;
      const held = await this.#attempt(begin, Math.max(1, timeoutMs));
      if (held) renewedAt = begin; // the server has written the lease after that
      if (held && !this.#leading) await this.#startLeading();
      // another holder ends the leadership at once; a server that does not answer ends it at the deadline
      const lost = held === false || clock.now() - renewedAt >= this.#options.renewDeadlineMs;
      if (this.#leading && lost) await this.#stopLeading();
      const wait = this.#leading
        ? this.#options.retryPeriodMs
        : backoffMs(1, { firstMs: this.#options.retryPeriodMs, maxMs: this.#options.retryPeriodMs, jitter: 0.5 });
      await clock.sleep(wait, signal).catch(() => undefined);
    }
    if (!this.#leading) return;
    await this.#stopLeading();
    await this.#release();
  }

  async #startLeading(): Promise<void> {
    const { log, identity, onStartedLeading } = this.#options;
    this.#leading = true;
    log.info({ identity }, 'leads');
    await onStartedLeading();
  }

  async #stopLeading(): Promise<void> {
    const { log, identity, onStoppedLeading } = this.#options;
    this.#leading = false;
    log.info({ identity }, 'leads no longer');
    await onStoppedLeading();
  }

  /** Acquires or renews the lease. @returns whether this process holds it; undefined where that is unknown */
  async #attempt(now: number, timeoutMs: number): Promise<boolean | undefined> {
    const { api, namespace, name, identity, log } = this.#options;
    const signal = AbortSignal.timeout(Math.ceil(timeoutMs));
    try {
      const lease = await api.get<Lease>(leaseType, namespace, name, { signal });
      const spec = heldBy(identity, lease?.spec, now, this.#options.leaseDurationMs);
      if (!lease) {
        await api.create<Lease>(leaseType, newLease(namespace, name, spec), { signal });
        return true;
      }
      const holder = lease.spec.holderIdentity;
      if (holder && holder !== identity && !this.#isExpired(lease, now)) return false;
      await api.replace<Lease>(leaseType, { ...lease, spec }, { signal });
      return true;
    } catch (error) {
      if (isConflict(error)) return this.#leading ? undefined : false; // another write was faster: the next attempt reads it
      log.warn({ err: error }, 'the lease cannot be reached');
      return undefined;
    }
  }

  /** Whether the holder has not renewed for the duration of the lease, since this candidate saw the last renewal. */
  #isExpired(lease: Lease, now: number): boolean {
    const version = lease.metadata.resourceVersion ?? '';
    if (this.#observation?.version !== version) this.#observation = { version, at: now };
    return (
      now - this.#observation.at >= (lease.spec.leaseDurationSeconds ?? this.#options.leaseDurationMs / 1000) * 1000
    );
  }

  async #release(): Promise<void> {
    const { api, namespace, name, identity, clock, log } = this.#options;
    const signal = AbortSignal.timeout(Math.ceil(this.#options.renewDeadlineMs));
    try {
      const lease = await api.get<Lease>(leaseType, namespace, name, { signal });
      if (lease?.spec.holderIdentity !== identity) return;
      const spec = { ...lease.spec, holderIdentity: '', renewTime: microTime(clock.now()) };
      await api.replace<Lease>(leaseType, { ...lease, spec }, { signal });
    } catch (error) {
      log.warn({ err: error }, 'the lease cannot be released: it expires');
    }
  }
}

/** The spec of a lease that `identity` acquires or renews. */
function heldBy(identity: string, before: LeaseSpec | undefined, now: number, leaseDurationMs: number): LeaseSpec {
  const time = microTime(now);
  const renews = before?.holderIdentity === identity;
  return {
    holderIdentity: identity,
    leaseDurationSeconds: Math.max(1, Math.ceil(leaseDurationMs / 1000)),
    renewTime: time,
    acquireTime: renews ? (before.acquireTime ?? time) : time,
    leaseTransitions: (before?.leaseTransitions ?? 0) + (before === undefined || renews ? 0 : 1),
  };
}

function newLease(namespace: string, name: string, spec: LeaseSpec): Lease {
  return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace, name }, spec };
}
