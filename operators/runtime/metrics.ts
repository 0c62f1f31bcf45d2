import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import type { OnRequest } from './api.ts';
import { isConflict } from './errors.ts';
import type { ResourceType } from './objects.ts';
import type { ProcessedKey } from './queue.ts';
import type { RestartReason } from './reflector.ts';

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

interface ReadyLabels {
  resource: string;
  resource_namespace: string;
  name: string;
}

/** The metrics of an operator. */
export class RuntimeMetrics {
  readonly #reconciles: Counter;
  readonly #durations: Histogram;
  readonly #waits: Histogram;
  readonly #depth: Gauge;
  readonly #restarts: Counter;
  readonly #requests: Counter;
  readonly #leader: Gauge;
  readonly #objects: Gauge;
  /** whether each resource is ready, by its labels */
  readonly #ready = new Map<string, { labels: ReadyLabels; isReady: boolean }>();
  #isUnread: (namespace: string) => boolean = () => false;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#reconciles = new Counter({
      name: 'operator_reconciles_total',
      help: 'Reconciles by controller and result',
      labelNames: ['controller', 'result'],
      registers,
    });
    this.#durations = new Histogram({
      name: 'operator_reconcile_seconds',
      help: 'How long a reconcile took',
      labelNames: ['controller'],
      buckets: seconds,
      registers,
    });
    this.#waits = new Histogram({
      name: 'operator_queue_wait_seconds',
      help: 'How long a key waited for its reconcile',
      labelNames: ['controller'],
      buckets: seconds,
      registers,
    });
    this.#depth = new Gauge({
      name: 'operator_queue_depth',
      help: 'Keys that wait for their reconcile',
      labelNames: ['controller'],
      registers,
    });
    this.#restarts = new Counter({
      name: 'operator_watch_restarts_total',
      help: 'Watches that were started again, by reason',
      labelNames: ['resource', 'reason'],
      registers,
    });
    this.#requests = new Counter({
      name: 'operator_api_requests_total',
      help: 'Requests to the API server; code 0 stands for no response',
      labelNames: ['verb', 'resource', 'code'],
      registers,
    });
    this.#leader = new Gauge({ name: 'operator_leader', help: '1 while this process leads', registers });
    this.#objects = new Gauge({
      name: 'operator_cached_objects',
      help: 'Objects in the caches',
      labelNames: ['resource'],
      registers,
    });
    const resources = this.#ready;
    const isUnread = (namespace: string) => this.#isUnread(namespace);
    const ready = new Gauge({
      name: 'operator_resource_ready',
      help: '1 where the condition Ready of a resource is True; only the leader has it, of namespaces that it can read',
      labelNames: ['resource', 'resource_namespace', 'name'],
      registers: [],
      collect() {
        this.reset();
        for (const { labels, isReady } of resources.values())
          if (!isUnread(labels.resource_namespace)) this.set(labels, isReady ? 1 : 0);
      },
    });
    registry.registerMetric(ready);
    this.#leader.set(0);
  }

  readonly onRequest: OnRequest = ({ verb, type, status }) => {
    this.#requests.inc({ verb, resource: type.plural, code: String(status) });
  };

  reconciled(controller: string, { error, waitedMs, tookMs }: ProcessedKey): void {
    this.#reconciles.inc({ controller, result: resultOf(error) });
    this.#durations.observe({ controller }, tookMs / 1000);
    this.#waits.observe({ controller }, waitedMs / 1000);
  }

  depth(controller: string, depth: number): void {
    this.#depth.set({ controller }, depth);
  }

  objects(type: ResourceType, count: number): void {
    this.#objects.set({ resource: type.plural }, count);
  }

  restarted(type: ResourceType, reason: RestartReason): void {
    this.#restarts.inc({ resource: type.plural, reason });
  }

  /** @param key of a resource, with its namespace @param ready undefined where the resource is gone */
  ready({ plural }: ResourceType, key: string, ready: boolean | undefined): void {
    const [namespace = '', name = ''] = key.split('/');
    const labels = { resource: plural, resource_namespace: namespace, name };
    const id = `${plural} ${key}`;
    if (ready === undefined) this.#ready.delete(id);
    else this.#ready.set(id, { labels, isReady: ready });
  }

  /** @param isUnread tells which namespaces cannot be read: nobody knows what is ready in them */
  leads(leading: boolean, isUnread = this.#isUnread): void {
    this.#isUnread = isUnread;
    this.#leader.set(leading ? 1 : 0);
    if (!leading) this.#ready.clear(); // the next leader knows
  }
}

function resultOf(error: unknown): 'success' | 'conflict' | 'error' {
  if (error === undefined) return 'success';
  return isConflict(error) ? 'conflict' : 'error';
}
