import type { Api } from './api.ts';
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';
import type { RuntimeMetrics } from './metrics.ts';
import { keyOf } from './objects.ts';
import type { KubeObject, ResourceType } from './objects.ts';
import { Reflector } from './reflector.ts';
import type { ReflectorTuning } from './reflector.ts';
import { Store } from './store.ts';
import type { Indexer } from './store.ts';

/** A change in a cache: what was there, and what is. `initial`: it was there when the cache was hasSynced first. */
export interface Change<T extends KubeObject> {
  before: T | undefined;
  after: T | undefined;
  initial: boolean;
}

type ChangeHandler<T extends KubeObject> = (change: Change<T>) => void;

export interface InformerOptions<T extends KubeObject> {
  api: Api;
  type: ResourceType;
  /** undefined: all namespaces, or the kind has none */
  namespaces: readonly string[] | undefined;
  labelSelector?: string;
  indexers?: Record<string, Indexer<T>>;
  /** what is kept of an object; a cache need not hold what nobody reads */
  transform?: (object: T) => T;
  clock: Clock;
  log: Log;
  metrics: Pick<RuntimeMetrics, 'restarted' | 'objects'>;
  tuning?: Partial<ReflectorTuning>;
}

/** A cache of a kind of objects that the API server keeps up to date, and that tells of each change. */
export class Informer<T extends KubeObject> {
  readonly type: ResourceType;
  readonly store: Store<T>;
  readonly #options: InformerOptions<T>;
  readonly #handlers: ChangeHandler<T>[] = [];
  readonly #unsynced: Set<string | undefined>;
  readonly #synced = Promise.withResolvers<void>();

  constructor(options: InformerOptions<T>) {
    this.#options = options;
    this.type = options.type;
    this.store = new Store(options.indexers);
    this.#unsynced = new Set(options.namespaces ?? [undefined]);
  }

  /** Adds a handler; one that throws is logged, and the others hear of the change all the same. */
  onChange(handler: ChangeHandler<T>): void {
    this.#handlers.push(handler);
  }

  /** Whether every namespace has been listed once. */
  get hasSynced(): boolean {
    return this.#unsynced.size === 0;
  }

  /** Resolves when it is hasSynced. */
  whenSynced(): Promise<void> {
    return this.#synced.promise;
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const namespaces = this.#options.namespaces ?? [undefined];
    await Promise.all(namespaces.map((namespace) => this.#reflector(namespace).run(signal)));
  }

  #reflector(namespace: string | undefined): Reflector<T> {
    const { transform = (object: T) => object, metrics, type } = this.#options;
    return new Reflector<T>({
      ...this.#options,
      namespace,
      onRestart: (reason) => metrics.restarted(type, reason),
      sink: {
        replace: (items) => this.#replace(namespace, items.map(transform)),
        changed: (object) => this.#set(transform(object), false),
        deleted: (object) => this.#delete(keyOf(object)),
      },
    });
  }

  #replace(namespace: string | undefined, items: T[]): void {
    const listed = new Set(items.map(keyOf));
    const gone = [...this.store.values()].filter(
      (object) => (namespace === undefined || object.metadata.namespace === namespace) && !listed.has(keyOf(object)),
    );
    const initial = this.#unsynced.has(namespace);
    for (const object of gone) this.#delete(keyOf(object));
    for (const object of items) this.#set(object, initial);
    this.#unsynced.delete(namespace);
    if (this.hasSynced) this.#synced.resolve();
  }

  #set(after: T, initial: boolean): void {
    const before = this.store.get(keyOf(after));
    if (before?.metadata.resourceVersion === after.metadata.resourceVersion && before) return;
    this.store.set(after);
    this.#tell({ before, after, initial });
  }

  #delete(key: string): void {
    const before = this.store.get(key);
    if (!before) return;
    this.store.delete(key);
    this.#tell({ before, after: undefined, initial: false });
  }

  #tell(change: Change<T>): void {
    this.#options.metrics.objects(this.type, this.store.size);
    for (const handler of this.#handlers) {
      try {
        handler(change);
      } catch (error) {
        const object = keyOf((change.after ?? change.before)!);
        this.#options.log.error({ err: error, resource: this.type.plural, object }, 'a handler of a change failed');
      }
    }
  }
}
