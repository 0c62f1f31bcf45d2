import { randomInt } from 'node:crypto';
import { eventServices } from '#platform/declarations';
import { PORTS } from '#local/plan.ts';
import { assertPortFree } from '#local/ports.ts';

/** From here on systems give ports to connections that go out: a server that listens there may find its port taken. */
const firstEphemeral = 32_768;

/** A port of 127.0.0.1 that nothing listens on right now, and that no connection is given either. */
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

/** The ports of a platform that was started with that offset. */
export function platformPorts(offset: number): number[] {
  return [...Object.values(PORTS), ...eventServices().map(({ spec }) => spec.port)].map((port) => port + offset);
}

/** An offset at which no port of a platform is taken, so that several test runs can go on at once. */
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
