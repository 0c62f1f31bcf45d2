import type { Informer } from '#runtime/informer.ts';
import { keyOf } from '#runtime/objects.ts';
import type { KubeObject } from '#runtime/objects.ts';
import type { ControllerContext } from './controller-context.ts';
import { isManaged } from './labels.ts';

/**
 * The object of a name. The caches have only the operator's own: what they lack may be somebody else's, or newer than they are.
 * @returns undefined where there is none
 */
export async function findObject<T extends KubeObject>(
  { api }: Pick<ControllerContext, 'api'>,
  { type, store }: Pick<Informer<T>, 'type' | 'store'>,
  wanted: Pick<KubeObject, 'metadata'>,
  signal: AbortSignal,
): Promise<T | undefined> {
  const { namespace, name } = wanted.metadata;
  return store.get(keyOf(wanted)) ?? (await api.get<T>(type, namespace, name, { signal }));
}

/**
 * Applies an object, unless one of its name is there that the operator has not made.
 * @param isFree whether one that it has made may be changed
 * @returns the object as it is then, also where it is not changed
 */
export async function applyOwn<T extends KubeObject>(
  context: Pick<ControllerContext, 'api' | 'applier'>,
  informer: Pick<Informer<T>, 'type' | 'store'>,
  desired: T,
  signal: AbortSignal,
  isFree: (found: T) => boolean = () => true,
): Promise<T> {
  const found = await findObject(context, informer, desired, signal);
  if (found && !(isManaged(found) && isFree(found))) return found;
  return (await context.applier.apply<T>(informer.type, desired, found, signal)).object;
}
