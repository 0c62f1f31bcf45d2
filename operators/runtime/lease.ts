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

export interface LeaseSpec {
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
  /** who this is: unique among the candidates */
  identity: string;
  /** Called when this process leads, and when it no longer does; it leads again only when `onLost` has resolved. */
  onAcquired: () => void | Promise<void>;
  onLost: () => void | Promise<void>;
  /** Times in milliseconds: how long others wait for a leader that is silent, when it gives up itself, how often it tries. */
  leaseMs?: number;
  renewWithinMs?: number;
  retryMs?: number;
}

/** What a candidate has seen of the lease, and when by its own clock: clocks of different machines are never compared. */
interface Seen {
  version: string;
  at: number;
}

/**
 * One leader among several processes, by a Lease. A leader that cannot renew stops leading before anybody else may take
 * over, and is a candidate again; it does not end the process. On `stop` it gives the lease back, so that another takes over
 * at its next attempt.
 */
export class LeaderElection {
  readonly #options: LeaderElectionOptions;
  readonly #leaseMs: number;
  readonly #renewWithinMs: number;
  readonly #retryMs: number;
  #seen: Seen | undefined;
  #leading = false;
  #stopping = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#leaseMs = options.leaseMs ?? 10_000;
    this.#renewWithinMs = options.renewWithinMs ?? 7_000;
    this.#retryMs = options.retryMs ?? 1_500;
  }

  get leading(): boolean {
    return this.#leading;
  }

  start(): void {
    this.#loop ??= this.#run(this.#stopping.signal);
  }

  /** Stops leading and gives the lease back. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(signal: AbortSignal): Promise<void> {
    let renewedAt = Number.NEGATIVE_INFINITY;
    while (!signal.aborted) {
      const { clock } = this.#options;
      const begin = clock.now();
      const patience = this.#leading ? renewedAt + this.#renewWithinMs - begin : this.#renewWithinMs;
      const held = await this.#attempt(begin, Math.max(1, patience));
      if (held) renewedAt = begin; // from when it was asked: the lease counts from there on at the latest
      if (held && !this.#leading) await this.#lead();
      // once it has seen another holder it leads no more; while the server does not answer, until its time is over
      const lost = held === false || clock.now() - renewedAt >= this.#renewWithinMs;
      if (this.#leading && lost) await this.#lose();
      const wait = this.#leading
        ? this.#retryMs
        : backoffMs(1, { firstMs: this.#retryMs, maxMs: this.#retryMs, jitter: 0.5 });
      await clock.sleep(wait, signal).catch(() => undefined);
    }
    if (!this.#leading) return;
    await this.#lose();
    await this.#giveBack();
  }

  async #lead(): Promise<void> {
    const { log, identity, onAcquired } = this.#options;
    this.#leading = true;
    log.info({ identity }, 'leads');
    await onAcquired();
  }

  async #lose(): Promise<void> {
    const { log, identity, onLost } = this.#options;
    this.#leading = false;
    log.info({ identity }, 'leads no more');
    await onLost();
  }

  /** Acquires or renews. @returns whether this process holds the lease; undefined where nobody can say */
  async #attempt(now: number, withinMs: number): Promise<boolean | undefined> {
    const { api, namespace, name, identity, log } = this.#options;
    const signal = AbortSignal.timeout(Math.ceil(withinMs));
    try {
      const lease = await api.get<Lease>(leaseType, namespace, name, { signal });
      const spec = heldBy(identity, lease?.spec, now, this.#leaseMs);
      if (!lease) {
        await api.create<Lease>(leaseType, newLease(namespace, name, spec), { signal });
        return true;
      }
      const holder = lease.spec.holderIdentity;
      if (holder && holder !== identity && !this.#isExpired(lease, now)) return false;
      await api.replace<Lease>(leaseType, { ...lease, spec }, { signal });
      return true;
    } catch (error) {
      if (isConflict(error)) return this.#leading ? undefined : false; // another one was faster: the next attempt tells
      log.warn({ err: error }, 'the lease cannot be reached');
      return undefined;
    }
  }

  /** A holder that has not renewed for its lease's duration, as seen from here. */
  #isExpired(lease: Lease, now: number): boolean {
    const version = lease.metadata.resourceVersion ?? '';
    if (this.#seen?.version !== version) this.#seen = { version, at: now };
    return now - this.#seen.at >= (lease.spec.leaseDurationSeconds ?? this.#leaseMs / 1000) * 1000;
  }

  async #giveBack(): Promise<void> {
    const { api, namespace, name, identity, clock, log } = this.#options;
    const signal = AbortSignal.timeout(Math.ceil(this.#renewWithinMs));
    try {
      const lease = await api.get<Lease>(leaseType, namespace, name, { signal });
      if (lease?.spec.holderIdentity !== identity) return;
      const spec = { ...lease.spec, holderIdentity: '', renewTime: microTime(clock.now()) };
      await api.replace<Lease>(leaseType, { ...lease, spec }, { signal });
    } catch (error) {
      log.warn({ err: error }, 'the lease could not be given back: it runs out by itself');
    }
  }
}

/** The lease's spec as it is when `identity` holds it from now on, or still does. */
function heldBy(identity: string, before: LeaseSpec | undefined, now: number, leaseMs: number): LeaseSpec {
  const time = microTime(now);
  const still = before?.holderIdentity === identity;
  return {
    holderIdentity: identity,
    leaseDurationSeconds: Math.max(1, Math.ceil(leaseMs / 1000)),
    renewTime: time,
    acquireTime: still ? (before.acquireTime ?? time) : time,
    leaseTransitions: (before?.leaseTransitions ?? 0) + (before === undefined || still ? 0 : 1),
  };
}

function newLease(namespace: string, name: string, spec: LeaseSpec): Lease {
  return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace, name }, spec };
}
