import { randomInt } from 'node:crypto';
import { eventServices } from '#platform/declarations';
import { PORTS } from '#local/plan.ts';
import { assertPortFree } from '#local/ports.ts';

/** Systems use ports from here on for outgoing connections, so that a server may find such a port taken. */
const firstEphemeral = 32_768;

/** A free port of 127.0.0.1 that outgoing connections do not get. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, firstEphemeral);
    try {
      await assertPortFree(port, 'a test');
      return port;
    } catch {
      // Taken: the next one.
    }
  }
}

/** The ports of a platform with that offset. */
export function platformPorts(offset: number): number[] {
  return [...Object.values(PORTS), ...eventServices().map(({ spec }) => spec.port)].map((port) => port + offset);
}

/** An offset at which all ports of a platform are free, so that several test runs can run at once. */
export async function freePortOffset(): Promise<number> {
  const highest = firstEphemeral - Math.max(...platformPorts(0));
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
