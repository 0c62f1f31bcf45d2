import { randomInt } from 'node:crypto';
import { eventServices } from '#platform/declarations';
import { PORTS } from '#local/plan.ts';
import { assertPortFree, FIRST_EPHEMERAL } from '#local/ports.ts';

/** The ports of a platform that was started with that offset. */
export function platformPorts(offset: number): number[] {
  return [...Object.values(PORTS), ...eventServices().map(({ spec }) => spec.port)].map((port) => port + offset);
}

/** An offset at which no port of a platform is taken, so that several test runs can go on at once. */
export async function freePortOffset(): Promise<number> {
  const highest = FIRST_EPHEMERAL - Math.max(...platformPorts(0));
  for (;;) {
    const offset = randomInt(3_000, highest);
    try {
      for (const port of platformPorts(offset)) await assertPortFree(port, 'a test');
      return offset;
    } catch {
      // Taken: the next one.
    }
  }
}
