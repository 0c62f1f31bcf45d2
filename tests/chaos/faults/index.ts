import type { FaultKind } from '../plan.ts';
import type { Inject } from './fault.ts';
import { freeze, kill, restart } from './processes.ts';
import { blackHole, cut } from './wires.ts';

/** How each kind of fault is caused. */
export const injections: Partial<Record<FaultKind, Inject>> = {
  kill,
  restart,
  freeze,
  cut,
  'black-hole': blackHole,
};
