export {
  brokerSettings,
  consumers,
  consumptionOf,
  declarationsDir,
  durationPattern,
  eventServices,
  nodeFlags,
  parseDuration,
  streamQueryFiles,
  topics,
} from './declarations.ts';
export {
  backfillGroup,
  broadcastPrefix,
  deadLetterTopic,
  isDeadLetterTopic,
  rebuildGroup,
  versionPrefix,
} from './groups.ts';
export type { EventService, Topic } from './declarations.ts';
export { rebuildPhases } from './rebuild-phases.ts';
export type { RebuildPhase, ActivePhase } from './rebuild-phases.ts';
export { brokersPattern, saslMechanisms } from './kafka-connection.ts';
export type { SaslMechanism } from './kafka-connection.ts';
