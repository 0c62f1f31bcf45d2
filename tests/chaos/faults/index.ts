import type { FaultKind } from '../plan.ts';
import { skew } from './clocks.ts';
import { changePassword, freezeBackend, killBackend, lock, refuseConnections } from './databases.ts';
import { fillDisk } from './disk.ts';
import type { Inject } from './fault.ts';
import { foreign, intrude } from './foreign.ts';
import { freeze, kill, restart } from './processes.ts';
import { addPartitions, recreateTopic } from './topics.ts';
import { blackHole, cut } from './wires.ts';

/** How each kind of fault is caused. */
export const injections: Record<FaultKind, Inject> = {
  kill,
  restart,
  freeze,
  'kill-backend': killBackend,
  'freeze-backend': freezeBackend,
  cut,
  'black-hole': blackHole,
  lock,
  password: changePassword,
  'refuse-connections': refuseConnections,
  foreign,
  intrude,
  'fill-disk': fillDisk,
  'add-partitions': addPartitions,
  'recreate-topic': recreateTopic,
  skew,
};
