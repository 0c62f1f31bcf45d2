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

/** A change of an object in the cache. */
export interface Change<T extends KubeObject> {
  /** undefined where the object is new */
  before: T | undefined;
  /** undefined where the object was deleted */
  after: T | undefined;
  /** whether the object comes from the first list */
  initial: boolean;
}

type ChangeHandler<T extends KubeObject> = (change: Change<T>) => void;

export interface InformerOptions<T extends KubeObject> {
  api: Api;
  type: ResourceType;
  /**
   * undefined: all namespaces, or a kind without namespaces. One of several that forbids a list or a watch does not hold up the others; it
   * is unread until it allows both.
   */
  namespaces: readonly string[] | undefined;
  labelSelector?: string;
  /** whether the server may not know the kind, as that of another operator: there are no objects of it then */
  optional?: boolean;
  /** only the objects of these names, each with a watch of its own: rights may be given by name */
  names?: readonly string[];
  indexers?: Record<string, Indexer<T>>;
  /** changes an object before the cache stores it, to remove fields that no controller reads */
  transform?: (object: T) => T;
  clock: Clock;
  log: Log;
  metrics: Pick<RuntimeMetrics, 'restarted' | 'objects'>;
  tuning?: Partial<ReflectorTuning>;
}

/** What one watch sees; undefined: whatever the namespace or the name is. */
interface Scope {
  namespace: string | undefined;
  name: string | undefined;
}

const isIn = ({ namespace, name }: Scope, { metadata }: KubeObject): boolean =>
  (namespace === undefined || metadata.namespace === namespace) && (name === undefined || metadata.name === name);

/** Keeps a cache of a kind of objects up to date with the API server, and calls handlers for each change. */
export class Informer<T extends KubeObject> {
  readonly type: ResourceType;
  readonly store: Store<T>;
  readonly #options: InformerOptions<T>;
  readonly #handlers: ChangeHandler<T>[] = [];
  readonly #appearances: (() => void)[] = [];
  readonly #scopes: readonly Scope[];
  /** those whose first list has not come, or that have forbidden a list or a watch since the last one */
  readonly #unread: Set<Scope>;
  /** those that have ever forbidden one */
  readonly #forbidden = new Set<Scope>();
  readonly #synced = Promise.withResolvers<void>();
  #isAbsent = false;

  constructor(options: InformerOptions<T>) {
    this.#options = options;
    this.type = options.type;
    this.store = new Store(options.indexers);
    const names = options.names ?? [undefined];
    this.#scopes = (options.namespaces ?? [undefined]).flatMap((namespace) =>
      names.map((name) => ({ namespace, name })),
    );
    this.#unread = new Set(this.#scopes);
  }

  /** Adds a handler. A handler that throws is logged, and does not keep the change from the other handlers. */
  onChange(handler: ChangeHandler<T>): void {
    this.#handlers.push(handler);
  }

  /** Whether the cache has the first list of every namespace and name but of those that forbid it, and of one at least. */
  get hasSynced(): boolean {
    const isKnown = (scope: Scope) => !this.#unread.has(scope) || this.#forbidden.has(scope);
    return this.#unread.size < this.#scopes.length && this.#scopes.every(isKnown);
  }

  /** Whether the cache may differ from a namespace because it cannot be read: it only seems to be empty, or to be as it was. */
  isUnread(namespace: string): boolean {
    return [...this.#unread].some((scope) => scope.namespace === undefined || scope.namespace === namespace);
  }

  /** Whether the server does not know the kind. The informer goes on asking. */
  get isAbsent(): boolean {
    return this.#isAbsent;
  }

  /** @param handler is called when the server knows the kind, which it has not known before */
  onAppearance(handler: () => void): void {
    this.#appearances.push(handler);
  }

  /** Resolves when the cache has synced. */
  whenSynced(): Promise<void> {
    return this.#synced.promise;
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#scopes.map((scope) => this.#reflector(scope).run(signal)));
  }

  #reflector(scope: Scope): Reflector<T> {
    const { transform = (object: T) => object, metrics, type, namespaces, optional = false } = this.#options;
    return new Reflector<T>({
      ...this.#options,
      namespace: scope.namespace,
      ...(scope.name === undefined ? {} : { fieldSelector: `metadata.name=${scope.name}` }),
      onRestart: (reason) => metrics.restarted(type, reason),
      sink: {
        replace: (items) => {
          const isNew = this.#isAbsent;
          this.#isAbsent = false;
          this.#replace(scope, items.map(transform));
          if (isNew) for (const tell of this.#appearances) tell();
        },
        changed: (object) => this.#set(transform(object), false),
        deleted: (object) => this.#delete(keyOf(object)),
        ...(optional ? { absent: () => this.#absent(scope) } : {}),
        ...((namespaces?.length ?? 0) > 1 ? { forbidden: () => this.#forbid(scope) } : {}),
      },
    });
  }

  #absent(scope: Scope): void {
    const { log, type } = this.#options;
    if (!this.#isAbsent) log.warn({ resource: type.plural, group: type.group }, 'the cluster does not have this kind');
    this.#isAbsent = true;
    this.#replace(scope, []);
  }

  /** What the cache has already stays: the rights may be away for a moment. */
  #forbid(scope: Scope): void {
    this.#unread.add(scope);
    this.#forbidden.add(scope);
    if (this.hasSynced) this.#synced.resolve();
  }

  #replace(scope: Scope, items: T[]): void {
    const listed = new Set(items.map(keyOf));
    const gone = [...this.store.values()].filter((object) => isIn(scope, object) && !listed.has(keyOf(object)));
    const initial = this.#unread.has(scope);
    for (const object of gone) this.#delete(keyOf(object));
    for (const object of items) this.#set(object, initial);
    this.#unread.delete(scope);
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
