import type { PlannedFault } from '../../chaos/plan.ts';
import type { SeedResult } from '../../chaos/report.ts';
import type { ClusterFaultKind } from './draws.ts';

/** What the agent is to do. */
export interface Task {
  seed: number;
  minutes: number;
  kinds: readonly ClusterFaultKind[];
  prefix: string;
}

/** A line of the agent: something to say, its result, or a fault to cause or to end. */
export type FromAgent =
  | { say: string }
  | { result: SeedResult }
  | { id: number; cause: PlannedFault<ClusterFaultKind> }
  | { id: number; end: number };

/** A line to the agent: the cause or the end of this id is done, or failed. */
export interface ToAgent {
  id: number;
  error?: string;
  skipped?: boolean;
}
