/**
 * The phases of a rebuild of a read model, as `millrace.projection_rebuilds` has them: the operator requests a rebuild there,
 * and the service does it.
 */
export const rebuildPhases = {
  active: ['Requested', 'Building'],
  finished: ['Switched', 'Failed', 'Cancelled'],
} as const;

export type ActivePhase = (typeof rebuildPhases.active)[number];
export type RebuildPhase = ActivePhase | (typeof rebuildPhases.finished)[number];
