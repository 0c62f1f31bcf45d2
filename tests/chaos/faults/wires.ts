import type { Inject } from './fault.ts';

/** Breaks all connections to a server, and every new one. */
export const cut: Inject = (system, { target }) => {
  const wire = system.wires[target]!;
  wire.cut();
  return Promise.resolve(() => Promise.resolve(wire.restore()));
};

/** Carries nothing more to and from a server, and closes nothing. */
export const blackHole: Inject = (system, { target }) => {
  const wire = system.wires[target]!;
  wire.silence();
  return Promise.resolve(() => Promise.resolve(wire.restore()));
};
