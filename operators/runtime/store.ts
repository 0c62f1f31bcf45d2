import { RuntimeError } from './catalogue.ts';
import { keyOf } from './objects.ts';
import type { KubeObject } from './objects.ts';

/** The values under which an index finds an object. */
export type Indexer<T> = (object: T) => readonly string[];

/** Objects by key and by index. Callers share the objects, and must not change them. */
export class Store<T extends KubeObject> {
  readonly #objects = new Map<string, T>();
  readonly #indexers: Record<string, Indexer<T>>;
  readonly #indexes = new Map<string, Map<string, Set<string>>>();

  constructor(indexers: Record<string, Indexer<T>> = {}) {
    this.#indexers = indexers;
    for (const name of Object.keys(indexers)) this.#indexes.set(name, new Map());
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  get size(): number {
    return this.#objects.size;
  }

  keys(): IterableIterator<string> {
    return this.#objects.keys();
  }

  values(): IterableIterator<T> {
    return this.#objects.values();
  }

  /** The objects under a value of an index. @throws where the index does not exist */
  by(index: string, value: string): T[] {
    const found = this.#indexes.get(index);
    if (!found) throw new RuntimeError('ERR_OPERATOR_INDEX', `there is no index ${index}`);
    return [...(found.get(value) ?? [])].map((key) => this.#objects.get(key)!);
  }

  set(object: T): void {
    const key = keyOf(object);
    this.#unindex(key);
    this.#objects.set(key, object);
    for (const [name, indexer] of Object.entries(this.#indexers)) {
      const index = this.#indexes.get(name)!;
      for (const value of indexer(object)) {
        const keys = index.get(value);
        if (keys) keys.add(key);
        else index.set(value, new Set([key]));
      }
    }
  }

  delete(key: string): void {
    this.#unindex(key);
    this.#objects.delete(key);
  }

  #unindex(key: string): void {
    const before = this.#objects.get(key);
    if (!before) return;
    for (const [name, indexer] of Object.entries(this.#indexers)) {
      const index = this.#indexes.get(name)!;
      for (const value of indexer(before)) {
        const keys = index.get(value);
        keys?.delete(key);
        if (keys?.size === 0) index.delete(value);
      }
    }
  }
}
