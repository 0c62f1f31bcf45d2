import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../log.ts';
import type { KubeObject, ObjectMeta, ResourceType } from '../objects.ts';

/** A log that keeps its lines. */
export function memoryLog(): Log & { lines: { level: string; message: string; details: object }[] } {
  const lines: { level: string; message: string; details: object }[] = [];
  const at = (level: string) => (details: object, message: string) => void lines.push({ level, message, details });
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** Waits until a condition holds. @throws after `withinMs`, with the name of the condition */
export async function until(what: string, holds: () => unknown, withinMs = 10_000): Promise<void> {
  for (const end = performance.now() + withinMs; !(await holds()); await sleep(5)) {
    if (performance.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`);
  }
}

export const configMaps: ResourceType = {
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  namespaced: true,
};

export interface ConfigMap extends KubeObject {
  data?: Record<string, string>;
}

export function configMap(
  name: string,
  data: Record<string, string> = {},
  metadata: Partial<ObjectMeta> = {},
): ConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: 'test', name, ...metadata }, data };
}
