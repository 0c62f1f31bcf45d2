import { utimesSync } from 'node:fs';
import { join } from 'node:path';

import { eventually } from '#test/eventually.ts';
import { withinMs } from '#test/npm-start.ts';
import type { StartedPlatform } from './platform.ts';

/** Saves a source of the clone without a change. */
export function touch(platform: StartedPlatform, file: string): void {
  const now = new Date();
  utimesSync(join(platform.clone, file), now, now);
}

/** Whether a service accepts requests. */
export async function isReady(platform: StartedPlatform, service: string): Promise<boolean> {
  return await fetch(`${platform.url(service)}/readyz`).then(
    async (answer) => (await answer.arrayBuffer(), answer.ok),
    () => false,
  );
}

/**
 * Waits until new processes of services serve after an action.
 * @returns the milliseconds until then
 */
export async function untilReplaced(platform: StartedPlatform, services: string[], act: () => void): Promise<number> {
  const before = services.map((name) => platform.servicePid(name));
  const began = performance.now();
  act();
  for (const [index, name] of services.entries())
    await eventually(
      async () => platform.servicePid(name) !== before[index] && (await isReady(platform, name)),
      () => `another ${name}: ${platform.run().output()}`,
      withinMs,
    );
  return performance.now() - began;
}
