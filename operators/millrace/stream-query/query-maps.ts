import { keyOf } from '#runtime/objects.ts';
import type { ControllerContext } from '../controller-context.ts';
import type { ConfigMap } from '../informers.ts';
import { configMapNames } from './config-map.ts';

/**
 * The ConfigMaps of queries as they are. The cache learns a moment later what the operator has written: whoever took the files from it
 * meanwhile would write earlier versions again.
 */
export class QueryMaps {
  readonly #cache: Pick<ControllerContext['configMaps'], 'store' | 'onChange'>;
  /** what is newer than the cache */
  readonly #written = new Map<string, ConfigMap>();

  constructor(cache: Pick<ControllerContext['configMaps'], 'store' | 'onChange'>) {
    this.#cache = cache;
    cache.onChange(({ before, after }) => {
      const key = keyOf((after ?? before)!);
      const written = this.#written.get(key);
      if (written && (!after || versionOf(after) >= versionOf(written))) this.#written.delete(key);
    });
  }

  /** The ConfigMaps of a namespace by place; undefined for those that do not exist. */
  in(namespace: string): (ConfigMap | undefined)[] {
    return configMapNames.map((name) => {
      const key = `${namespace}/${name}`;
      return this.#written.get(key) ?? this.#cache.store.get(key);
    });
  }

  /** Remembers how the API server says that a ConfigMap is, until the cache has it. */
  written(map: ConfigMap): void {
    const cached = this.#cache.store.get(keyOf(map));
    if (!cached || versionOf(cached) < versionOf(map)) this.#written.set(keyOf(map), map);
  }
}

/** The versions of an object grow with time. */
const versionOf = ({ metadata }: ConfigMap) => BigInt(metadata.resourceVersion ?? 0);
